"""Networks that are no chain: traced by torch.export (`capture`), rounded at the borders (`roles`, `grids`), run in integers (`integer`)."""
