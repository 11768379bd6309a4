package checkup

// For the tests.
var (
	JudgeClock  = clock
	JudgeNode   = redisNode
	JudgeBroker = broker
	JudgePools  = pools

	ExplainMySQL    = explainMySQL
	ExplainRedis    = explainRedis
	ExplainRocketMQ = explainRocketMQ
)
