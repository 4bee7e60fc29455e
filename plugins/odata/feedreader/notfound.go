package feedreader

import (
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

// IsNotFound reports whether an entity does not exist. Only an OData error document proves it: gateways return 404 with
// other content, SAP Gateway also for unknown services.
func IsNotFound(status uint16, body []byte) bool {
	code, _, ok := odataerror.Document(body)
	return (status == 404 || status == 410) && ok && !odataerror.NoService(code)
}

// IsNotFound also applies the configured codes.
func (f *Feed) IsNotFound(status uint16, body []byte) bool {
	code, _, _ := odataerror.Document(body)
	return IsNotFound(status, body) || (odataerror.MatchesCode(f.Tracking.NotFound, status, code) &&
		!odataerror.IsHTML(body))
}

// EntityStatuses returns the statuses with which a service may report a missing entity, and the statuses of routers.
func (f *Feed) EntityStatuses() []uint16 {
	statuses := slices.Clone(odataerror.RouterStatuses)
	if len(f.Tracking.NotFound) > 0 {
		statuses = append(statuses, 400) // used with codes of their own
	}
	for _, code := range f.Tracking.NotFound {
		if status, err := strconv.ParseUint(code, 10, 16); err == nil && !slices.Contains(statuses, uint16(status)) {
			statuses = append(statuses, uint16(status))
		}
	}
	return statuses
}

// ReadError returns the error for an entity that cannot be read and is not known to be deleted.
func ReadError(subject string, answer *wit.Response, body []byte) error {
	failure := odataerror.FromResponse(subject, answer, body)
	if odataerror.MarkOutage(failure, answer, body) {
		return failure
	}
	switch answer.Status {
	case 404, 410:
		failure.Message += "; it is not considered deleted: only an error document of the OData service " +
			"about the entity would say so"
	case 400:
		failure.Message += "; if this means that the entity does not exist, add the code to " +
			sourceconfig.NotFoundCodes
	}
	return failure
}
