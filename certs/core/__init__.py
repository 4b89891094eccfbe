"""Pure decisions about signed messages and seals: values in, values out."""
