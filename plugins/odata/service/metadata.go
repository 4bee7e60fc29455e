// Package service asks OData services for the documents that describe them.
package service

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

// MetadataRequest asks for a service's $metadata; path has no slash at its end.
func MetadataRequest(path string, query uri.Query) wit.Request {
	return Get(path, query.AppendTo(path+"/$metadata"), "application/xml")
}

// NeedMetadata returns the requests for the metadata of services while there are no answers, nil once there is one for
// each. Errors are *wit.Fault.
func NeedMetadata(services []string, query uri.Query, answers []wit.Response) (*wit.RequestBatch, error) {
	if len(answers) == 0 {
		need := &wit.RequestBatch{}
		for _, s := range services {
			need.Requests = append(need.Requests, MetadataRequest(s, query))
		}
		return need, nil
	}
	if len(answers) != len(services) {
		return nil, &wit.Error{Kind: wit.ErrorInternal, Message: "expected " + strconv.Itoa(len(services)) +
			" answers, found " + strconv.Itoa(len(answers))}
	}
	return nil, nil
}

// DocumentRequest asks for a service document.
func DocumentRequest(path string, query uri.Query) wit.Request {
	return Get("document "+path, query.AppendTo(path+"/"), documentTypes)
}

// ReadDocument reads the answer to DocumentRequest: the names of its entity sets. Errors are *wit.Fault.
func ReadDocument(path string, answer *wit.Response) ([]string, error) {
	what := "service document of " + path
	if answer.Status < 200 || answer.Status > 299 {
		return nil, fault.Of(what, answer, answer.Body)
	}
	names, ok := Collections(answer.Body)
	if !ok {
		return nil, fault.NotData(what, "a service document", answer.Body)
	}
	return names, nil
}

// documentTypes are the forms of service documents.
const documentTypes = "application/json, application/atomsvc+xml;q=0.9, application/xml;q=0.8"

// Get asks for a document in one of some forms, as the header Accept has them. The request may be repeated.
func Get(tag, target, accept string) wit.Request {
	return wit.Request{Tag: tag, Method: "GET", Target: target, Repeatable: true, Headers: []wit.Header{
		{Name: "Accept", Value: accept}, {Name: "MaxDataServiceVersion", Value: "2.0"}}}
}

// ReadMetadata reads the answer to MetadataRequest. Errors are *wit.Fault.
func ReadMetadata(path string, answer *wit.Response) (*edm.Model, error) {
	what := "$metadata of " + path
	if answer.Status < 200 || answer.Status > 299 {
		return nil, fault.Of(what, answer, answer.Body)
	}
	if len(answer.Body) == 0 || fault.IsHTML(answer.Body) {
		return nil, fault.NotData(what, "a $metadata document", answer.Body)
	}
	m, err := edm.Parse(answer.Body)
	if err != nil {
		f := fault.NotData(what, "a $metadata document", answer.Body)
		f.Message = what + ": " + err.Error()
		return nil, f
	}
	return m, nil
}

// FindSet finds an entity set and its type. name is the setting that names the set. Errors are *wit.Fault.
func FindSet(m *edm.Model, path, set, name string) (*edm.Set, *edm.StructuredType, error) {
	s := m.Set(set)
	if s == nil {
		var names []string
		for _, other := range m.Sets {
			names = append(names, Address(other))
		}
		return nil, nil, fault.Config(name, "Entity set "+set+" isn't in $metadata of "+path+fault.Among(set, names,
			"it has no entity set"))
	}
	t := m.Structure(s.Type)
	if t == nil {
		return nil, nil, &wit.Error{Kind: wit.ErrorUnsupported, Message: "entity set " + set + " of " + path +
			": its type " + s.Type + " isn't in $metadata"}
	}
	return s, t, nil
}

// Path is a service's path with a slash in front and none at the end: both spellings are one service.
func Path(s string) string { return "/" + strings.Trim(s, "/") }

// Address is how requests name a set: bare, or with its container where that isn't the default one.
func Address(s *edm.Set) string {
	if s.Default {
		return s.Name
	}
	return s.Container + "." + s.Name
}
