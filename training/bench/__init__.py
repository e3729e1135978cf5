"""What a minibatch costs, beside stock Brian2 and other libraries."""
