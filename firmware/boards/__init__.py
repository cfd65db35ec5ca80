"""Board projects, one folder per target: what makes an exported model a firmware image. Data, copied as they are."""
