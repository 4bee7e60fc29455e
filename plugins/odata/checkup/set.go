package checkup

import (
	"bytes"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

const (
	tagRows = "rows"

	unauthorized   = 401
	notImplemented = 501
)

// stepOf looks an entity set up in the metadata and asks for one row of it.
func stepOf(s Service, set Set, query uri.Query) step {
	return step{name: "entityset " + s.Path + "/" + set.Name, setting: set.Setting,
		request: service.MetadataRequest(s.Path, query),
		then: func(metadata *wit.Response) (wit.Request, error) {
			m, err := service.ReadMetadata(s.Path, metadata)
			if err != nil {
				return wit.Request{}, err
			}
			address, options, err := set.find(m, s)
			if err != nil {
				return wit.Request{}, err
			}
			target, accept := s.Path+"/"+address+"?"+options+"$top=1", "application/atom+xml"
			if !set.Atom {
				target, accept = target+"&$format=json", "application/json"
			}
			return service.Get(tagRows, query.On(target), accept), nil
		},
		read: func(answer *wit.Response) (string, error) { return readRows(s, set, answer) },
	}
}

// find is the set's address, and the options of requests for it as they stand before others.
func (set Set) find(m *edm.Model, s Service) (address, options string, err error) {
	if set.Find == nil {
		found, _, err := service.FindSet(m, s.Path, set.Name, set.Setting)
		if err != nil {
			return "", "", err
		}
		return service.Address(found), "", nil
	}
	if address, options, err = set.Find(m); options != "" {
		options += "&"
	}
	return address, options, err
}

// readRows judges the answer to a question for one row. A sink need not be able to read, and $top may be more than a
// service can do.
func readRows(s Service, set Set, answer *wit.Response) (string, error) {
	what := "entity set " + set.Name + " of " + s.Path
	switch status := answer.Status; {
	case status == notImplemented && !s.Written:
		return "there; the service does not answer for one row alone ($top), so whether it can be " +
			"read shows when it is read", nil
	case !set.Atom && fault.RefusesFormat(answer, answer.Body):
		return "there; the service does not know $format, which is left out when the set is read", nil
	case (status < 200 || status > 299) && s.Written && status >= 400 && status != unauthorized:
		return "there; it cannot be read, which writing does not need: " + fault.Of(what, answer, answer.Body).Error(),
			nil
	case status < 200 || status > 299:
		return "", fault.Of(what, answer, answer.Body)
	}
	if set.Atom {
		if !bytes.Contains(answer.Body, []byte("feed")) || fault.IsHTML(answer.Body) {
			return "", fault.NotData(what, "an Atom feed", answer.Body)
		}
		return "readable", nil
	}
	if v, err := jsontext.Parse(answer.Body); err != nil || !v.Has("d") {
		return "", fault.NotData(what, "rows in JSON", answer.Body)
	}
	return "readable", nil
}
