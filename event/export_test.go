package event

var (
	Message = message
	Of      = eventOf
)
