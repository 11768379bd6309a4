package adminhttp

import "net/http"

var (
	malformedJSON = &problem{
		"malformed-json", http.StatusBadRequest,
		text{"Malformed JSON", "The body must be one JSON object with the fields of this request, each of its type, at most once and in lower case."},
		text{"JSON 格式错误", "请求体必须是一个 JSON 对象，字段名均为小写且不重复、类型正确。"},
	}
	unexpectedField = &problem{
		"unexpected-field", http.StatusBadRequest,
		text{"Unexpected field", "The body has a field, or the address a parameter, that is not known here."},
		text{"未知字段", "请求体或查询参数中包含未知字段。"},
	}
	keyInvalid = &problem{
		"idempotency-key-invalid", http.StatusBadRequest,
		text{"Invalid Idempotency-Key", "Send Idempotency-Key once, with 1 to 64 printable ASCII characters."},
		text{"Idempotency-Key 无效", "Idempotency-Key 只能出现一次，长度为 1 至 64 个可打印 ASCII 字符。"},
	}
	ifMatchInvalid = &problem{
		"if-match-invalid", http.StatusBadRequest,
		text{"Invalid If-Match", "Send the ETag as it was answered, such as \"3\", once."},
		text{"If-Match 无效", "请原样发送一次 ETag，例如 \"3\"。"},
	}
	unauthenticated = &problem{
		"unauthenticated", http.StatusUnauthorized,
		text{"Not signed in", "Send a valid operator's token: Authorization: Bearer …"},
		text{"未登录", "请提供有效的运营人员令牌：Authorization: Bearer …"},
	}
	forbidden = &problem{
		"forbidden", http.StatusForbidden,
		text{"Not allowed", "This needs a token with the role operator; viewer may only look."},
		text{"无权限", "此操作需要 operator 角色的令牌，viewer 仅可查看。"},
	}
	notFound = &problem{
		"not-found", http.StatusNotFound,
		text{"Not found", "There is nothing here."},
		text{"未找到", "请求的内容不存在。"},
	}
	methodNotAllowed = &problem{
		"method-not-allowed", http.StatusMethodNotAllowed,
		text{"Method not allowed", "Allow names the methods of this address."},
		text{"方法不允许", "该地址支持的方法见 Allow。"},
	}
	conflict = &problem{
		"conflict", http.StatusConflict,
		text{"Conflict", "What it is now does not allow this."},
		text{"状态冲突", "当前状态不允许此操作。"},
	}
	stale = &problem{
		"precondition-failed", http.StatusPreconditionFailed,
		text{"Changed meanwhile", "Somebody changed this since you read it. Read it again, then decide again."},
		text{"数据已变更", "数据在您读取之后已被修改，请重新读取后再操作。"},
	}
	tooLarge = &problem{
		"too-large", http.StatusRequestEntityTooLarge,
		text{"Too large", "A body has at most 64 KiB."},
		text{"请求过大", "请求体不得超过 64 KiB。"},
	}
	unsupportedMedia = &problem{
		"unsupported-media", http.StatusUnsupportedMediaType,
		text{"Unsupported media type", "Send application/json, not encoded."},
		text{"不支持的媒体类型", "请发送未经编码的 application/json。"},
	}
	validation = &problem{
		"validation", http.StatusUnprocessableEntity,
		text{"Invalid value", "A value is out of range; errors says which."},
		text{"参数无效", "参数超出范围，详见 errors。"},
	}
	keyReused = &problem{
		"idempotency-key-reused", http.StatusUnprocessableEntity,
		text{"Idempotency key reused", "This key already stands for another action of yours."},
		text{"幂等键重复使用", "该键已对应您的另一项操作。"},
	}
	preconditionRequired = &problem{
		"precondition-required", http.StatusPreconditionRequired,
		text{"If-Match required", "Read it first, and send its ETag as If-Match: so nobody's change is overwritten unseen."},
		text{"缺少 If-Match", "请先读取，并以 If-Match 发送其 ETag，避免覆盖他人的修改。"},
	}
	internalError = &problem{
		"internal", http.StatusInternalServerError,
		text{"Internal error", "Something went wrong here; the log says what."},
		text{"内部错误", "服务器内部错误，详见日志。"},
	}
	overloaded = &problem{
		"overloaded", http.StatusServiceUnavailable,
		text{"Busy", "Two of these are under way in this process; try again after Retry-After."},
		text{"繁忙", "本进程已有两项此类操作在进行，请按 Retry-After 稍后重试。"},
	}
	dependencyDown = &problem{
		"dependency-down", http.StatusServiceUnavailable,
		text{"A server is away", "MySQL or Redis cannot be asked. Whether the change was made is not known: send it again with the same Idempotency-Key, it is made once."},
		text{"依赖不可用", "无法访问 MySQL 或 Redis，无法确认更改是否生效。请使用相同的 Idempotency-Key 重新发送，更改只会生效一次。"},
	}
)
