package wit

// IsRejection reports whether a status alone proves that the service did not process the request, whoever responded.
// Each of these statuses has a document that specifies this. Other statuses, except success, may come from a proxy
// although the service has processed the request: then only the service's own text in the response counts.
//
// Left out intentionally:
//   - 408: Envoy returns it when the service is slow, and the service continues to process the request
//     (HttpConnectionManager.stream_idle_timeout: "terminated with a 408 Request Timeout error code if no upstream
//     response header has been received"). RFC 9110, 15.5.9, means a request that did not arrive in whole.
//   - 406: Spring finds that no form of the result is acceptable when the handler has returned it
//     (AbstractMessageConverterMethodProcessor.writeWithMessageConverters).
//   - 303: RFC 9110, 15.4.4: the response to the request is at another URI, so it has been processed.
//   - 499: gRPC's gateways answer it for a call that was cancelled under way (google/rpc/code.proto, CANCELLED).
func IsRejection(status uint16) bool {
	switch status {
	case 301, 302, 307, 308, // RFC 9110, 15.4: the resource is at another URI, and nothing was done
		400,           // 15.5.1: the server cannot or will not process the request
		401,           // 15.5.2: the request has not been applied
		403,           // 15.5.4: the server refuses to fulfill the request
		404, 405, 410, // 15.5.5, 15.5.6, 15.5.11: there is no such resource, or it does not support the method
		407,           // 15.5.8: as 401, by the proxy
		409,           // 15.5.10: the request could not be completed; google/rpc/code.proto: ABORTED, ALREADY_EXISTS
		411, 413, 414, // 15.5.12, 15.5.14, 15.5.15: the server refuses to accept, process or service the request
		412,      // 13.1: the method must not be performed if a precondition is false
		415,      // 15.5.16: the server refuses to service the request because of its content's format
		421,      // 15.5.20: it may be sent again over another connection whether it is idempotent or not
		422,      // 15.5.21: the server was unable to process the instructions
		426,      // 15.5.22: the server refuses to perform the request over this protocol
		423, 424, // RFC 4918, 11.3, 11.4: the resource is locked; the method could not be performed
		425,      // RFC 8470, 5.2: the server is unwilling to risk processing the request
		428, 431, // RFC 6585, 3, 5: the request has to be conditional; the server is unwilling to process it
		429: // RFC 6585, 4: too many requests; Envoy, MuleSoft and AWS refuse them before the service (their guides)
		return true
	}
	return false
}

// ErrorKindOf returns the kind of error for a status that is no success.
func ErrorKindOf(status uint16) ErrorKind {
	switch {
	case status == 401:
		return ErrorUnauthorized
	case status == 403:
		return ErrorForbidden
	case status == 404:
		return ErrorNotFound
	case status == 410:
		return ErrorGone
	case status == 408 || status == 429 || status >= 500:
		return ErrorTransient
	}
	return ErrorData
}
