package checkup

// What tests look at from outside.
var (
	JudgeClock  = clock
	JudgeNode   = redisNode
	JudgeBroker = broker
	JudgePools  = pools

	ExplainMySQL    = explainMySQL
	ExplainRedis    = explainRedis
	ExplainRocketMQ = explainRocketMQ
)
