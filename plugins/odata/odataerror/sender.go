package odataerror

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// FromService reports whether the OData service itself sent an error response: it contains an OData error document, or
// the OData version. Routers, proxies and gateways in front of a service send neither. So only a response of the
// service is about the request: that an option is not supported, or that an entity does not exist.
func FromService(response *wit.Response, body []byte) bool {
	return readBody(response, body).FromService()
}

// FromService reports whether the OData service itself sent the response, see the function [FromService].
func (r *Response) FromService() bool { return HasVersion(r.Response) || r.read().isComplete }

// HasVersion reports whether a response contains the OData version.
func HasVersion(response *wit.Response) bool {
	return slices.ContainsFunc(response.Headers, func(header wit.Header) bool {
		isVersion := strings.EqualFold(header.Name, "DataServiceVersion") ||
			strings.EqualFold(header.Name, "OData-Version")
		return isVersion && header.Value != ""
	})
}

// RouterStatuses are the statuses for which [FromRouter] may return true.
var RouterStatuses = []uint16{404, 405, 410, 415, 501}

// FromRouter reports whether a router answered in place of the service, with a status that routers use while an
// application restarts or is not deployed: Cloud Foundry answers 404 "Requested route does not exist" while no instance
// passes its health check (capire, "Troubleshooting"; cloudfoundry/gorouter pull request 314). Assumption: 405, 410,
// 415 and 501 come from default pages of web servers in the same way. An empty 404 or 410 may be the answer of a small
// service.
func FromRouter(response *wit.Response, body []byte) bool {
	return readBody(response, body).FromRouter()
}

// FromRouter reports whether a router sent the response, see the function [FromRouter].
func (r *Response) FromRouter() bool {
	isEmptyNotFound := (r.Status == 404 || r.Status == 410) && len(trimStart(r.Body)) == 0
	return slices.Contains(RouterStatuses, r.Status) && !isEmptyNotFound && !r.FromService()
}

// MarkOutage makes failure transient if a router answered in place of a service that has answered before: the service
// may be restarting. It reports whether a router answered.
func MarkOutage(failure *wit.Error, response *wit.Response, body []byte) bool {
	if !FromRouter(response, body) {
		return false
	}
	failure.Kind = wit.ErrorTransient
	failure.Message += "; not from the OData service, which has answered before: it may be restarting"
	return true
}
