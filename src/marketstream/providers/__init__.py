"""One folder per market-data provider: `config`, `parse`, `client`; beside them what they share."""
