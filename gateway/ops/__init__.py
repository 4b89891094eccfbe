"""Operations: audit, evidence, stations, checks of configuration and database."""
