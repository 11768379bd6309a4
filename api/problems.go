package api

import (
	"net/http"

	"seckill/internal/problem"
)

var (
	malformedJSON = problem.NewType("malformed-json", http.StatusBadRequest,
		problem.NewText("Malformed JSON", "The body must be one JSON object with the fields of this request, each of its type, at most once and in lower case: a purchase has quantity (an integer) and reference (a string)."),
		problem.NewText("JSON 格式错误", "请求体必须是一个 JSON 对象，字段名均为小写且不重复、类型正确；下单的字段为 quantity（整数）和 reference（字符串）。"))
	unexpectedField = problem.NewType("unexpected-field", http.StatusBadRequest,
		problem.NewText("Unexpected field", "The body has a field that this request does not have: a purchase has only quantity and reference."),
		problem.NewText("未知字段", "请求体包含该请求没有的字段；下单仅支持 quantity 和 reference。"))
	keyInvalid = problem.NewType("idempotency-key-invalid", http.StatusBadRequest,
		problem.NewText("Invalid Idempotency-Key", "Send Idempotency-Key once, with 1 to 64 printable ASCII characters."),
		problem.NewText("Idempotency-Key 无效", "Idempotency-Key 只能出现一次，长度为 1 至 64 个可打印 ASCII 字符。"))
	validation = problem.NewType("validation", http.StatusUnprocessableEntity,
		problem.NewText("Invalid value", "A value is invalid; errors names it."),
		problem.NewText("参数无效", "参数值无效，详见 errors。"))
	keyReused = problem.NewType("idempotency-key-reused", http.StatusUnprocessableEntity,
		problem.NewText("Idempotency key reused", "This key already names an order with another quantity or reference; see order_url. For another purchase, send a new Idempotency-Key."),
		problem.NewText("幂等键已被使用", "该幂等键已对应另一笔数量或业务编号（reference）不同的订单，见 order_url。如需另行下单，请使用新的 Idempotency-Key。"))
	unauthenticated = problem.NewType("unauthenticated", http.StatusUnauthorized,
		problem.NewText("Not signed in", "Send a valid token: Authorization: Bearer …"),
		problem.NewText("未登录", "请提供有效的令牌：Authorization: Bearer …"))
	forbidden = problem.NewType("forbidden", http.StatusForbidden,
		problem.NewText("Not for you", "This sale is for shoppers whose token has a certain claim: require_claim of the sale names it."),
		problem.NewText("无购买资格", "本活动仅限令牌带有指定声明的用户参与，详见活动的 require_claim。"))
	permitRequired = problem.NewType("permit-required", http.StatusForbidden,
		problem.NewText("Permit required", "This sale requires the header Purchase-Permit. Get a permit with POST /v1/sales/{id}/permits once the sale is open."),
		problem.NewText("需要购买许可", "本活动下单时须携带 Purchase-Permit 请求头；活动开始后可通过 POST /v1/sales/{id}/permits 获取许可。"))
	permitInvalid = problem.NewType("permit-invalid", http.StatusForbidden,
		problem.NewText("Permit invalid", "This Purchase-Permit has expired or was not issued to you for this sale. Get another with POST /v1/sales/{id}/permits."),
		problem.NewText("购买许可无效", "该 Purchase-Permit 已过期，或并非您在本活动中的许可。请通过 POST /v1/sales/{id}/permits 重新获取。"))
	challengeFailed = problem.NewType("challenge-failed", http.StatusForbidden,
		problem.NewText("Challenge failed", "A permit requires the answer to the challenge on the page, as challenge in the body. An answer is valid once and for a short time."),
		problem.NewText("人机验证未通过", "获取许可时，须在请求体的 challenge 中提交页面人机验证组件返回的令牌；该令牌仅在短时间内有效，且只能使用一次。"))
	notFound = problem.NewType("not-found", http.StatusNotFound,
		problem.NewText("Not found", "There is nothing at this address."),
		problem.NewText("未找到", "请求的内容不存在。"))
	methodNotAllowed = problem.NewType("method-not-allowed", http.StatusMethodNotAllowed,
		problem.NewText("Method not allowed", "The header Allow lists the allowed methods."),
		problem.NewText("不支持的请求方法", "支持的方法见 Allow 响应头。"))
	requestTimeout = problem.NewType("request-timeout", http.StatusRequestTimeout,
		problem.NewText("Request timeout", "The body did not arrive in time."),
		problem.NewText("请求超时", "未能在规定时间内收到完整的请求体。"))
	saleNotOpen = &problem.Type{
		Code: "sale-not-open", Status: http.StatusConflict, RetryMin: 1, RetryMax: 3,
		En: problem.NewText("Not open yet", "The sale has not started; it starts at starts_at."),
		Zh: problem.NewText("尚未开始", "活动尚未开始，开始时间见 starts_at。"),
	}
	soldOut = &problem.Type{
		Code: "sold-out", Status: http.StatusConflict, Final: true,
		En: problem.NewText("Sold out", "Not enough units are left for this attempt. Your existing orders are under orders_url."),
		Zh: problem.NewText("已售罄", "库存不足，本次未能下单。已有订单请查看 orders_url。"),
	}
	purchaseLimit = problem.NewType("purchase-limit", http.StatusConflict,
		problem.NewText("Purchase limit reached", "You have reached the number of orders that one shopper may have in this sale."),
		problem.NewText("已达购买上限", "您在本活动中的订单数已达上限。"))
	attemptsUsed = problem.NewType("attempts-used", http.StatusConflict,
		problem.NewText("No attempts left", "You have returned as many orders of this sale as it allows: orders that you cancelled or did not pay in time. It sells you no more. Your orders are under orders_url."),
		problem.NewText("下单次数已用完", "您在本活动中取消或逾期未付的订单数已达上限，无法再次购买。已有订单请查看 orders_url。"))
	returnPause = &problem.Type{
		Code: "return-pause", Status: http.StatusTooManyRequests, RetryMin: 1, RetryMax: 10,
		En: problem.NewText("Too soon after a return", "You returned an order of this sale a short time ago: you cancelled it or did not pay in time. You can buy again after Retry-After. Each return makes the pause longer."),
		Zh: problem.NewText("退单后需稍候", "您刚刚取消了本活动的订单，或订单逾期未付。请按 Retry-After 稍后再购买；每次退单后的等待时间会更长。"),
	}
	saleEnded = problem.NewType("sale-ended", http.StatusGone,
		problem.NewText("Sale ended", "The sale has ended. Your existing orders are under orders_url."),
		problem.NewText("活动已结束", "活动已结束。已有订单请查看 orders_url。"))
	unsupportedMedia = problem.NewType("unsupported-media", http.StatusUnsupportedMediaType,
		problem.NewText("Unsupported media type", "Send application/json in UTF-8 without any Content-Encoding."),
		problem.NewText("不支持的媒体类型", "请发送 UTF-8 编码的 application/json，且不使用 Content-Encoding。"))
	tooLarge = problem.NewType("too-large", http.StatusRequestEntityTooLarge,
		problem.NewText("Body too large", "The body may have at most 4 KiB."),
		problem.NewText("请求体过大", "请求体不得超过 4 KiB。"))
	rateLimited = &problem.Type{
		Code: "rate-limited", Status: http.StatusTooManyRequests, RetryMin: 1, RetryMax: 2,
		En: problem.NewText("Too many requests", "You sent too many requests. Try again after Retry-After."),
		Zh: problem.NewText("请求过于频繁", "请求过于频繁，请按 Retry-After 稍后重试。"),
	}
	salePaused = &problem.Type{
		Code: "sale-paused", Status: http.StatusServiceUnavailable, RetryMin: 3, RetryMax: 8,
		En: problem.NewText("Sale paused", "The sale is paused and will resume. Your existing orders are under orders_url."),
		Zh: problem.NewText("活动已暂停", "活动已暂停，稍后恢复。已有订单请查看 orders_url。"),
	}
	overloaded = &problem.Type{
		Code: "overloaded", Status: http.StatusServiceUnavailable, RetryMin: 1, RetryMax: 3,
		En: problem.NewText("Too busy", "Too many requests are in progress; nothing was reserved. Try again."),
		Zh: problem.NewText("系统繁忙", "当前请求过多，本次未占用库存，请稍后再试。"),
	}
	backlog = &problem.Type{
		Code: "backlog", Status: http.StatusServiceUnavailable, RetryMin: 3, RetryMax: 8,
		En: problem.NewText("Too many orders waiting", "Earlier orders are still being processed; nothing was reserved. Try again."),
		Zh: problem.NewText("排队订单过多", "之前的订单仍在处理，本次未占用库存，请稍后再试。"),
	}
	dependencyDown = &problem.Type{
		Code: "dependency-down", Status: http.StatusServiceUnavailable, RetryMin: 2, RetryMax: 6,
		En: problem.NewText("Temporarily unavailable", "Part of the system is unavailable. Try again after Retry-After."),
		Zh: problem.NewText("暂时不可用", "系统部分组件不可用，请按 Retry-After 稍后重试。"),
	}
	internal = problem.NewType("internal", http.StatusInternalServerError,
		problem.NewText("Internal error", "The server failed to handle the request."),
		problem.NewText("内部错误", "服务器处理请求时发生内部错误。"))
	orderFailed = problem.NewType("order-failed", http.StatusConflict,
		problem.NewText("Order failed", "The order could not be processed and was voided; nothing was bought. You may order again."),
		problem.NewText("下单失败", "订单未能处理，已作废，本次没有购买成功。您可以重新下单。"))
	orderPending = &problem.Type{
		Code: "order-pending", Status: http.StatusConflict, RetryMin: 1, RetryMax: 2,
		En: problem.NewText("Order pending", "The order has no result yet and cannot be cancelled. Wait for the result; if it is confirmed, you can cancel it."),
		Zh: problem.NewText("订单处理中", "订单尚无结果，暂时无法取消。请等待结果，确认后再取消。"),
	}
	orderPaid = problem.NewType("order-paid", http.StatusConflict,
		problem.NewText("Order paid", "The order is paid and cannot be cancelled here; ask the shop for a refund."),
		problem.NewText("订单已支付", "订单已支付，无法在此取消，请联系商家退款。"))
	paymentsOff = &problem.Type{
		Code: "payments-off", Status: http.StatusServiceUnavailable, RetryMin: 30, RetryMax: 60,
		En: problem.NewText("Payments are off", "This server accepts no payments: no secret is configured to verify them (SECKILL_PAYMENT_SECRETS)."),
		Zh: problem.NewText("未启用支付", "服务器未配置支付密钥（SECKILL_PAYMENT_SECRETS），不接收支付回调。"),
	}
	signatureInvalid = problem.NewType("signature-invalid", http.StatusUnauthorized,
		problem.NewText("Invalid signature", "Send webhook-id, webhook-timestamp (within 5 minutes of the current time) and webhook-signature, signed with a secret of this server."),
		problem.NewText("签名无效", "请发送 webhook-id、webhook-timestamp（与当前时间相差不超过 5 分钟）和 webhook-signature，并使用服务器配置的密钥签名。"))
	wrongAmount = problem.NewType("wrong-amount", http.StatusUnprocessableEntity,
		problem.NewText("Wrong amount", "amount_minor or currency does not match the order. The order is not paid."),
		problem.NewText("金额不符", "amount_minor 或 currency 与订单不符，订单未支付。"))
	eventReused = problem.NewType("event-reused", http.StatusUnprocessableEntity,
		problem.NewText("Event reused", "This event ID was already used for another payment."),
		problem.NewText("事件 ID 已被使用", "该事件 ID 已用于另一笔支付。"))
)

// Details for where an answer knows more than its problem.
var (
	// Of dependency-down.
	reserveUnknown = problem.Detail{
		En: "It is unknown whether this purchase was reserved: you may have an order. Check orders_url, then send the same request again, with the same Idempotency-Key if it had one. It creates no second order.",
		Zh: "无法确认本次下单是否成功，您可能已有订单。请先查看 orders_url，再原样重新发送该请求（若有 Idempotency-Key 则保持不变），不会产生第二笔订单。",
	}
	nothingReserved = problem.Detail{
		En: "Part of the system is unavailable; nothing was reserved. Try again after Retry-After.",
		Zh: "系统部分组件不可用，本次未占用库存。请按 Retry-After 稍后重试。",
	}
	orderUnread = problem.Detail{
		En: "This request names an order that you have, but it cannot be read now. Get it from order_url after Retry-After.",
		Zh: "该请求对应您已有的订单，但暂时无法读取。请按 Retry-After 稍后查看 order_url。",
	}
	challengeUnchecked = problem.Detail{
		En: "The answer to the challenge cannot be checked now. Try again after Retry-After with a new answer.",
		Zh: "暂时无法核验人机验证的结果。请按 Retry-After 稍后重新验证。",
	}
	// Of not-found.
	saleUnknown = problem.Detail{
		En: "There is no such sale. GET /v1/sales lists the sales.",
		Zh: "活动不存在，可通过 GET /v1/sales 查询活动列表。",
	}
	noPermits = problem.Detail{
		En: "This sale requires no permit; you can buy without one.",
		Zh: "本活动无需购买许可，可直接下单。",
	}
	// Of idempotency-key-reused.
	noKeyReused = problem.Detail{
		En: "You have an order in this sale with another quantity or reference; see order_url. For another purchase, send an Idempotency-Key.",
		Zh: "您在本活动中已有一笔数量或业务编号（reference）不同的订单，见 order_url。如需另行下单，请发送 Idempotency-Key。",
	}
	// Of permit-invalid.
	permitSpent = problem.Detail{
		En: "You have returned an order of this sale since this permit was issued, so it is spent. Get another one from POST /v1/sales/{id}/permits.",
		Zh: "该许可签发后您退过本活动的订单，许可已失效。请通过 POST /v1/sales/{id}/permits 重新获取。",
	}
	// Of purchase-limit.
	limitHeld = problem.Detail{
		En: "You have reached the number of orders that one shopper may have in this sale. One is at order_url, all are under orders_url.",
		Zh: "您在本活动中的订单数已达上限：其中一笔见 order_url，全部订单见 orders_url。",
	}
)

// problems is every row, for GET /problems/{code}.
var problems = []*problem.Type{
	malformedJSON, unexpectedField, keyInvalid, validation, keyReused, unauthenticated,
	forbidden, permitRequired, permitInvalid, challengeFailed, notFound,
	methodNotAllowed, requestTimeout, saleNotOpen, soldOut, purchaseLimit, attemptsUsed, saleEnded,
	unsupportedMedia, tooLarge, rateLimited, returnPause, salePaused, overloaded, backlog, dependencyDown, internal, orderFailed,
	orderPending, orderPaid, paymentsOff, signatureInvalid, wrongAmount, eventReused,
}
