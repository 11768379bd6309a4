package api

import "net/http"

// problem is a row of the one table of what can go wrong. Its code never
// changes; its texts follow Accept-Language.
type problem struct {
	code               string
	status             int
	retryMin, retryMax int // seconds of Retry-After, drawn between the two; 0 is none
	en, zh             text
}

type text struct{ title, detail string }

func (p *problem) text(l lang) text {
	if l == chinese {
		return p.zh
	}
	return p.en
}

var (
	malformedJSON = &problem{
		code: "malformed-json", status: http.StatusBadRequest,
		en: text{"Malformed JSON", "The body must be one JSON object with the fields of this request, each of its type, at most once and in lower case: a purchase has quantity (an integer) and reference (a string)."},
		zh: text{"JSON 格式错误", "请求体必须是一个 JSON 对象，字段名均为小写且不重复、类型正确；下单的字段为 quantity（整数）和 reference（字符串）。"},
	}
	unexpectedField = &problem{
		code: "unexpected-field", status: http.StatusBadRequest,
		en: text{"Unexpected field", "The body has a field that is not known here. Of a purchase, only quantity and reference are."},
		zh: text{"未知字段", "请求体包含未知字段，下单仅支持 quantity 和 reference。"},
	}
	keyInvalid = &problem{
		code: "idempotency-key-invalid", status: http.StatusBadRequest,
		en: text{"Invalid Idempotency-Key", "Send Idempotency-Key once, with 1 to 64 printable ASCII characters."},
		zh: text{"Idempotency-Key 无效", "Idempotency-Key 只能出现一次，长度为 1 至 64 个可打印 ASCII 字符。"},
	}
	validation = &problem{
		code: "validation", status: http.StatusUnprocessableEntity,
		en: text{"Invalid value", "A value is out of range; errors says which."},
		zh: text{"参数无效", "参数超出范围，详见 errors。"},
	}
	keyReused = &problem{
		code: "idempotency-key-reused", status: http.StatusUnprocessableEntity,
		en: text{"Idempotency key reused", "This key already names an order with another quantity or reference, at order_url. For another purchase send an Idempotency-Key of its own."},
		zh: text{"幂等键重复使用", "该键已对应另一笔数量或备注不同的订单，见 order_url。如需另行下单，请使用新的 Idempotency-Key。"},
	}
	unauthenticated = &problem{
		code: "unauthenticated", status: http.StatusUnauthorized,
		en: text{"Not signed in", "Send a valid token: Authorization: Bearer …"},
		zh: text{"未登录", "请提供有效的令牌：Authorization: Bearer …"},
	}
	forbidden = &problem{
		code: "forbidden", status: http.StatusForbidden,
		en: text{"Not for you", "This sale is for shoppers whose token has a certain claim: require_claim of the sale names it."},
		zh: text{"无购买资格", "本活动仅限令牌带有指定声明的用户参与，详见活动的 require_claim。"},
	}
	permitRequired = &problem{
		code: "permit-required", status: http.StatusForbidden,
		en: text{"Permit required", "This sale wants a Purchase-Permit header: POST /v1/sales/{id}/permits gives a permit once the sale is open."},
		zh: text{"需要购买许可", "本活动下单时须发送 Purchase-Permit 请求头；活动开始后可通过 POST /v1/sales/{id}/permits 获取许可。"},
	}
	permitInvalid = &problem{
		code: "permit-invalid", status: http.StatusForbidden,
		en: text{"Permit invalid", "This Purchase-Permit is over, or is not one of yours for this sale. Get another with POST /v1/sales/{id}/permits."},
		zh: text{"购买许可无效", "该 Purchase-Permit 已过期，或并非您在本活动中的许可。请通过 POST /v1/sales/{id}/permits 重新获取。"},
	}
	challengeFailed = &problem{
		code: "challenge-failed", status: http.StatusForbidden,
		en: text{"Challenge failed", "A permit wants the answer to the challenge on the page, as challenge in the body. An answer is good once, for a short time."},
		zh: text{"验证未通过", "获取许可时须在请求体的 challenge 中提交页面验证的结果，该结果仅短时有效且只能使用一次。"},
	}
	notFound = &problem{
		code: "not-found", status: http.StatusNotFound,
		en: text{"Not found", "There is nothing here."},
		zh: text{"未找到", "请求的内容不存在。"},
	}
	methodNotAllowed = &problem{
		code: "method-not-allowed", status: http.StatusMethodNotAllowed,
		en: text{"Method not allowed", "The Allow header lists the methods that are."},
		zh: text{"方法不允许", "允许的方法见 Allow 响应头。"},
	}
	requestTimeout = &problem{
		code: "request-timeout", status: http.StatusRequestTimeout,
		en: text{"Request timeout", "The body did not arrive in time."},
		zh: text{"请求超时", "未能及时收到请求体。"},
	}
	saleNotOpen = &problem{
		code: "sale-not-open", status: http.StatusConflict, retryMin: 1, retryMax: 3,
		en: text{"Not open yet", "The sale has not begun; starts_at says when it does."},
		zh: text{"尚未开始", "活动尚未开始，开始时间见 starts_at。"},
	}
	soldOut = &problem{
		code: "sold-out", status: http.StatusConflict,
		en: text{"Sold out", "There are not enough units left for this attempt. Orders you already have are under orders_url."},
		zh: text{"已售罄", "库存不足，本次未能下单。已有订单请查看 orders_url。"},
	}
	purchaseLimit = &problem{
		code: "purchase-limit", status: http.StatusConflict,
		en: text{"Purchase limit reached", "You already hold as many orders of this sale as one shopper may."},
		zh: text{"已达购买上限", "您在本活动中的订单数已达上限。"},
	}
	saleEnded = &problem{
		code: "sale-ended", status: http.StatusGone,
		en: text{"Sale ended", "The sale is over. Orders you already have are under orders_url."},
		zh: text{"活动已结束", "活动已结束。已有订单请查看 orders_url。"},
	}
	unsupportedMedia = &problem{
		code: "unsupported-media", status: http.StatusUnsupportedMediaType,
		en: text{"Unsupported media type", "Send application/json in UTF-8 without any Content-Encoding."},
		zh: text{"不支持的媒体类型", "请发送 UTF-8 编码的 application/json，且不使用 Content-Encoding。"},
	}
	tooLarge = &problem{
		code: "too-large", status: http.StatusRequestEntityTooLarge,
		en: text{"Body too large", "The body may have 4 KiB."},
		zh: text{"请求体过大", "请求体不得超过 4 KiB。"},
	}
	rateLimited = &problem{
		code: "rate-limited", status: http.StatusTooManyRequests, retryMin: 1, retryMax: 2,
		en: text{"Too many requests", "You are asking too often; wait for Retry-After."},
		zh: text{"请求过于频繁", "请求过于频繁，请按 Retry-After 稍候再试。"},
	}
	salePaused = &problem{
		code: "sale-paused", status: http.StatusServiceUnavailable, retryMin: 3, retryMax: 8,
		en: text{"Sale paused", "The sale is paused and will go on. Orders you already have are under orders_url."},
		zh: text{"活动已暂停", "活动暂停，稍后恢复。已有订单请查看 orders_url。"},
	}
	overloaded = &problem{
		code: "overloaded", status: http.StatusServiceUnavailable, retryMin: 1, retryMax: 3,
		en: text{"Too busy", "Too many requests are under way; nothing was reserved. Try again."},
		zh: text{"系统繁忙", "当前请求过多，未占用库存，请稍后再试。"},
	}
	backlog = &problem{
		code: "backlog", status: http.StatusServiceUnavailable, retryMin: 3, retryMax: 8,
		en: text{"Too many orders waiting", "Orders accepted before are still being settled; nothing was reserved. Try again."},
		zh: text{"排队订单过多", "之前的订单仍在处理，本次未占用库存，请稍后再试。"},
	}
	dependencyDown = &problem{
		code: "dependency-down", status: http.StatusServiceUnavailable, retryMin: 2, retryMax: 6,
		en: text{"Temporarily unavailable", "A part of the system cannot be reached. Try again after Retry-After."},
		zh: text{"暂时不可用", "系统部分组件不可用，请按 Retry-After 稍后重试。"},
	}
	internal = &problem{
		code: "internal", status: http.StatusInternalServerError,
		en: text{"Internal error", "Something went wrong on our side."},
		zh: text{"内部错误", "服务器内部错误。"},
	}
	orderFailed = &problem{
		code: "order-failed", status: http.StatusConflict,
		en: text{"Order failed", "The order could not be processed and was voided; nothing was bought. You may order again."},
		zh: text{"下单失败", "订单未能处理，已作废，未产生购买。您可以重新下单。"},
	}
	orderPending = &problem{
		code: "order-pending", status: http.StatusConflict, retryMin: 1, retryMax: 2,
		en: text{"Order pending", "The order has no result yet and cannot be cancelled before. Wait for the result, then cancel it if it is confirmed."},
		zh: text{"订单处理中", "订单尚无结果，暂时无法取消。请等待结果，确认后再取消。"},
	}
	orderPaid = &problem{
		code: "order-paid", status: http.StatusConflict,
		en: text{"Order paid", "The order is paid and cannot be cancelled here; ask the shop for a refund."},
		zh: text{"订单已支付", "订单已支付，无法在此取消，请联系商家退款。"},
	}
	paymentsOff = &problem{
		code: "payments-off", status: http.StatusServiceUnavailable, retryMin: 30, retryMax: 60,
		en: text{"Payments are off", "This server takes no payments: it has no secret to check them with (SECKILL_PAYMENT_SECRETS)."},
		zh: text{"未启用支付", "该服务器未配置支付密钥（SECKILL_PAYMENT_SECRETS），不接收支付通知。"},
	}
	signatureInvalid = &problem{
		code: "signature-invalid", status: http.StatusUnauthorized,
		en: text{"Invalid signature", "Send webhook-id, webhook-timestamp (within 5 minutes of now) and webhook-signature, signed with a secret of this server."},
		zh: text{"签名无效", "请发送 webhook-id、webhook-timestamp（与当前时间相差不超过 5 分钟）和 webhook-signature，并使用本服务器的密钥签名。"},
	}
	wrongAmount = &problem{
		code: "wrong-amount", status: http.StatusUnprocessableEntity,
		en: text{"Wrong amount", "amount_minor or currency is not what the order costs. The order is not paid."},
		zh: text{"金额不符", "amount_minor 或 currency 与订单不符，订单未支付。"},
	}
	eventReused = &problem{
		code: "event-reused", status: http.StatusUnprocessableEntity,
		en: text{"Event reused", "This event ID already names another payment."},
		zh: text{"事件重复使用", "该事件编号已对应另一笔支付。"},
	}
)

// detail is what an answer says instead of its problem's own detail, where it
// knows more.
type detail struct{ en, zh string }

func (d *detail) in(l lang) string {
	if l == chinese {
		return d.zh
	}
	return d.en
}

var (
	// Of dependency-down.
	reserveUnknown = detail{
		"Nobody knows whether this purchase was reserved: you may hold an order. Look under orders_url, then send the same request again, with the same Idempotency-Key if it had one: it makes no second order.",
		"无法确认本次下单是否成功，您可能已有订单。请先查看 orders_url，再原样重新发送该请求（若有 Idempotency-Key 则保持不变），不会产生第二笔订单。",
	}
	nothingReserved = detail{
		"A part of the system cannot be reached; nothing was reserved. Try again after Retry-After.",
		"系统部分组件不可用，本次未占用库存。请按 Retry-After 稍后重试。",
	}
	orderUnread = detail{
		"This request names an order that you have, but it cannot be read now. Ask for it at order_url after Retry-After.",
		"该请求对应您已有的订单，但暂时无法读取。请按 Retry-After 稍后查看 order_url。",
	}
	challengeUnchecked = detail{
		"The answer to the challenge cannot be checked now. Try again after Retry-After, with a new answer.",
		"暂时无法核对验证结果。请按 Retry-After 稍后使用新的验证结果重试。",
	}
	// Of not-found.
	saleUnknown = detail{
		"There is no such sale. GET /v1/sales lists the sales.",
		"没有该活动。可用 GET /v1/sales 查询活动列表。",
	}
	noPermits = detail{
		"This sale is sold without permits: buy right away.",
		"本活动无需购买许可，可直接下单。",
	}
	// Of idempotency-key-reused.
	noKeyReused = detail{
		"You hold an order in this sale with another quantity or reference, at order_url. For another purchase send an Idempotency-Key.",
		"您在本活动中已有一笔数量或备注不同的订单，见 order_url。如需另行下单，请发送 Idempotency-Key。",
	}
	// Of purchase-limit.
	limitHeld = detail{
		"You already hold as many orders of this sale as one shopper may: one is at order_url, all of them are under orders_url.",
		"您在本活动中的订单数已达上限：其中一笔见 order_url，全部订单见 orders_url。",
	}
)

// problems is every row, for GET /problems/{code}.
var problems = []*problem{
	malformedJSON, unexpectedField, keyInvalid, validation, keyReused, unauthenticated,
	forbidden, permitRequired, permitInvalid, challengeFailed, notFound,
	methodNotAllowed, requestTimeout, saleNotOpen, soldOut, purchaseLimit, saleEnded,
	unsupportedMedia, tooLarge, rateLimited, salePaused, overloaded, backlog, dependencyDown, internal, orderFailed,
	orderPending, orderPaid, paymentsOff, signatureInvalid, wrongAmount, eventReused,
}
