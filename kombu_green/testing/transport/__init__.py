"""What every transport must do, as a test class to subclass: AMQP's verbs as this library promises them."""
