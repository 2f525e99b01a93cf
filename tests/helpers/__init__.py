"""What tests share: servers that stand in for the Hub, a browser, a Space."""
