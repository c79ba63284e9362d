"""The project's website, and the same pages with a kernel behind them: `make site` and `make learn`."""
