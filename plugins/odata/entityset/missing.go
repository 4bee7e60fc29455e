package entityset

import (
	"slices"
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

// IsNotFound reports whether an answer says that an entity is not there: the service itself says so, by an error
// document of OData. Gateways and proxies answer 404 with anything else, and SAP Gateway itself for a service that it
// does not know.
func IsNotFound(status uint16, body []byte) bool {
	code, _, ok := odataerror.Document(body)
	return (status == 404 || status == 410) && ok && !odataerror.NoService(code)
}

// IsNotFound is the same of an entity of the feed, for which the settings may name other answers.
func (f *Feed) IsNotFound(status uint16, body []byte) bool {
	code, _, _ := odataerror.Document(body)
	return IsNotFound(status, body) || odataerror.MatchesCode(f.Tracking.NotFound, status, code) &&
		!odataerror.IsHTML(body)
}

// NotFoundStatuses are the statuses by which a service may say that an entity is not there.
func (f *Feed) NotFoundStatuses() []uint16 {
	statuses := []uint16{404, 410}
	for _, code := range f.Tracking.NotFound {
		if len(statuses) == 2 {
			statuses = append(statuses, 400) // with which services give messages of their own
		}
		if status, err := strconv.ParseUint(code, 10, 16); err == nil && !slices.Contains(statuses, uint16(status)) {
			statuses = append(statuses, uint16(status))
		}
	}
	return statuses
}

// ReadError is the fault of an entity that can't be read, and is not known to be deleted.
func ReadError(what string, answer *wit.Response, body []byte) error {
	f := odataerror.FromResponse(what, answer, body)
	switch answer.Status {
	case 404, 410:
		f.Message += "; it isn't taken for deleted: only an error document of the OData service, and " +
			"of the entity, says that"
	case 400:
		f.Message += "; if that says that the entity isn't there, " + sourceconfig.NotFoundCodes +
			" takes it for deleted"
	}
	return f
}
