"""One folder per market-data provider: `config`, `parse`, `client`."""
