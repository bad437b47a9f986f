"""Which bases a prediction hangs on: gradients, mutagenesis and shuffled windows."""
