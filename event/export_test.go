package event

// Message is what a topic stores of an event.
var Message = message
