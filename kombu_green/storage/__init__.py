"""Byte stores with leases: each keeps queues of messages, and gives every verb of AMQP a floor to stand on."""
