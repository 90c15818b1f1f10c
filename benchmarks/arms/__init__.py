"""One file a loader: ``batches(options)`` gives the batches of endless epochs, each [images, targets]."""
