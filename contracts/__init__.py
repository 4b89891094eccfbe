"""The shared language of all rooms: values, states, ports and wire schemas. Pure; imports nobody."""
