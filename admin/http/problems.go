package adminhttp

import (
	"net/http"

	"seckill/internal/problem"
)

var (
	malformedJSON = problem.NewType("malformed-json", http.StatusBadRequest,
		problem.NewText("Malformed JSON", "The body must be one JSON object with the fields of this request, each of its type, at most once and in lower case."),
		problem.NewText("JSON 格式错误", "请求体必须是一个 JSON 对象，字段名均为小写且不重复、类型正确。"))
	unexpectedField = problem.NewType("unexpected-field", http.StatusBadRequest,
		problem.NewText("Unexpected field", "The body has an unknown field, or the address an unknown parameter."),
		problem.NewText("未知字段", "请求体或查询参数中包含未知字段。"))
	keyInvalid = problem.NewType("idempotency-key-invalid", http.StatusBadRequest,
		problem.NewText("Invalid Idempotency-Key", "Send Idempotency-Key once, with 1 to 64 printable ASCII characters."),
		problem.NewText("Idempotency-Key 无效", "Idempotency-Key 只能出现一次，长度为 1 至 64 个可打印 ASCII 字符。"))
	ifMatchInvalid = problem.NewType("if-match-invalid", http.StatusBadRequest,
		problem.NewText("Invalid If-Match", "Send the ETag as it was answered, such as \"3\", once."),
		problem.NewText("If-Match 无效", "If-Match 只能出现一次，其值为原样的 ETag，例如 \"3\"。"))
	unauthenticated = problem.NewType("unauthenticated", http.StatusUnauthorized,
		problem.NewText("Not signed in", "Send a valid operator's token: Authorization: Bearer …"),
		problem.NewText("未登录", "请提供有效的运营人员令牌：Authorization: Bearer …"))
	forbidden = problem.NewType("forbidden", http.StatusForbidden,
		problem.NewText("Not allowed", "This action requires a token with the role operator; a viewer may only read."),
		problem.NewText("无权限", "此操作需要 operator 角色的令牌，viewer 仅可查看。"))
	notFound = problem.NewType("not-found", http.StatusNotFound,
		problem.NewText("Not found", "There is nothing at this address."),
		problem.NewText("未找到", "请求的内容不存在。"))
	methodNotAllowed = problem.NewType("method-not-allowed", http.StatusMethodNotAllowed,
		problem.NewText("Method not allowed", "The header Allow lists the allowed methods."),
		problem.NewText("不支持的请求方法", "支持的方法见 Allow 响应头。"))
	conflict = problem.NewType("conflict", http.StatusConflict,
		problem.NewText("Conflict", "The current state does not allow this action."),
		problem.NewText("状态冲突", "当前状态不允许此操作。"))
	stale = problem.NewType("precondition-failed", http.StatusPreconditionFailed,
		problem.NewText("Changed meanwhile", "This was changed after you read it. Read it again, then decide."),
		problem.NewText("数据已变更", "数据在您读取之后已被修改，请重新读取后再操作。"))
	tooLarge = problem.NewType("too-large", http.StatusRequestEntityTooLarge,
		problem.NewText("Too large", "The body may have at most 64 KiB."),
		problem.NewText("请求过大", "请求体不得超过 64 KiB。"))
	unsupportedMedia = problem.NewType("unsupported-media", http.StatusUnsupportedMediaType,
		problem.NewText("Unsupported media type", "Send application/json in UTF-8 without any Content-Encoding."),
		problem.NewText("不支持的媒体类型", "请发送 UTF-8 编码的 application/json，且不使用 Content-Encoding。"))
	validation = problem.NewType("validation", http.StatusUnprocessableEntity,
		problem.NewText("Invalid value", "A value is invalid; errors names it."),
		problem.NewText("参数无效", "参数值无效，详见 errors。"))
	keyReused = problem.NewType("idempotency-key-reused", http.StatusUnprocessableEntity,
		problem.NewText("Idempotency key reused", "You already used this key for another action."),
		problem.NewText("幂等键已被使用", "该幂等键已用于您的另一项操作。"))
	preconditionRequired = problem.NewType("precondition-required", http.StatusPreconditionRequired,
		problem.NewText("If-Match required", "Read it first and send its ETag as If-Match, so that you do not overwrite a change you have not seen."),
		problem.NewText("缺少 If-Match", "请先读取数据，再把返回的 ETag 放入 If-Match 一并发送，以免覆盖他人的修改。"))
	internalError = problem.NewType("internal", http.StatusInternalServerError,
		problem.NewText("Internal error", "The server failed to handle the request; its log names the cause."),
		problem.NewText("内部错误", "服务器内部错误，详见日志。"))
	overloaded = &problem.Type{
		Code: "overloaded", Status: http.StatusServiceUnavailable, RetryMin: 2, RetryMax: 2,
		En: problem.NewText("Busy", "This process already runs two such actions. Try again after Retry-After."),
		Zh: problem.NewText("繁忙", "本进程已有两项此类操作在进行，请按 Retry-After 稍后重试。"),
	}
	dependencyDown = &problem.Type{
		Code: "dependency-down", Status: http.StatusServiceUnavailable, RetryMin: 2, RetryMax: 2,
		En: problem.NewText("Temporarily unavailable", "MySQL or Redis is unavailable. It is unknown whether the change was made: send it again with the same Idempotency-Key, and it is made once."),
		Zh: problem.NewText("依赖不可用", "无法访问 MySQL 或 Redis，无法确认更改是否生效。请使用相同的 Idempotency-Key 重新发送，更改只会生效一次。"),
	}
)
