package document

import (
	"errors"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/markup"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

// MetadataRequest requests $metadata. path has no trailing slash.
func MetadataRequest(dialect *edm.Dialect, path string, query uri.Query) wit.Request {
	return Get(dialect, path, query.AppendTo(path+"/$metadata"), "application/xml")
}

// MetadataRequests returns the requests for metadata, or nil once there are responses. Errors are *wit.Error.
func MetadataRequests(dialect *edm.Dialect, services []string, query uri.Query,
	answers []wit.Response) (*wit.RequestBatch, error) {
	if len(answers) == 0 {
		need := &wit.RequestBatch{}
		for _, s := range services {
			need.Requests = append(need.Requests, MetadataRequest(dialect, s, query))
		}
		return need, nil
	}
	if len(answers) != len(services) {
		return nil, &wit.Error{Kind: wit.ErrorInternal, Message: "expected " + strconv.Itoa(len(services)) +
			" responses, found " + strconv.Itoa(len(answers))}
	}
	return nil, nil
}

// ServiceRequest requests the service document. path has no trailing slash.
func ServiceRequest(dialect *edm.Dialect, path string, query uri.Query) wit.Request {
	return Get(dialect, "document "+path, query.AppendTo(path+"/"), documentTypes)
}

// ReadService returns the entity sets of a service document. Errors are *wit.Error.
func ReadService(path string, answer *wit.Response) ([]string, error) {
	subject := "service document of " + path
	if answer.Status < 200 || answer.Status > 299 {
		return nil, odataerror.FromResponse(subject, answer, answer.Body)
	}
	names, ok := Collections(answer.Body)
	if !ok {
		return nil, odataerror.NotData(subject, "a service document", answer.Body)
	}
	return names, nil
}

const documentTypes = "application/json, application/atomsvc+xml;q=0.9, application/xml;q=0.8"

// Get returns a repeatable GET request that accepts a media type.
func Get(dialect *edm.Dialect, tag, target, accept string) wit.Request {
	return wit.Request{Tag: tag, Method: "GET", Target: target, Repeatable: true,
		Headers: []wit.Header{{Name: "Accept", Value: accept}, dialect.MaxVersion}}
}

// ReadMetadata parses $metadata of a dialect. Errors are *wit.Error. After a router's answer the service is not found.
func ReadMetadata(dialect *edm.Dialect, path string, answer *wit.Response) (*edm.Model, error) {
	subject := "$metadata of " + path
	if answer.Status < 200 || answer.Status > 299 {
		failure := odataerror.FromResponse(subject, answer, answer.Body)
		if odataerror.FromRouter(answer, answer.Body) {
			failure.Kind = wit.ErrorNotFound
		}
		return nil, failure
	}
	if len(answer.Body) == 0 || odataerror.IsHTML(answer.Body) {
		return nil, odataerror.NotData(subject, "a $metadata document", answer.Body)
	}
	model, err := edm.Parse(answer.Body, dialect)
	if err != nil {
		f := odataerror.NotData(subject, "a $metadata document", answer.Body)
		f.Message = subject + ": " + err.Error()
		var otherVersion *edm.VersionError
		if errors.As(err, &otherVersion) {
			f.Message += "; use the connector class of OData " + otherVersion.Found
		}
		return nil, f
	}
	return model, nil
}

// FindSet finds an entity set and its type. name is the setting that names the set. Errors are *wit.Error.
func FindSet(model *edm.Model, path, set, name string) (*edm.Set, *edm.StructuredType, error) {
	entitySet := model.Set(set)
	if entitySet == nil {
		var names []string
		for _, other := range model.Sets {
			names = append(names, SetAddress(other))
		}
		return nil, nil, odataerror.ForSetting(name,
			"Entity set "+set+" isn't in $metadata of "+path+odataerror.Suggest(set, names, "it has no entity set"))
	}
	t := model.Structure(entitySet.Type)
	if t == nil {
		return nil, nil, &wit.Error{Kind: wit.ErrorUnsupported, Message: "entity set " + set + " of " + path +
			": its type " + entitySet.Type + " isn't in $metadata"}
	}
	return entitySet, t, nil
}

// ServicePath returns a path with a leading and without a trailing slash.
func ServicePath(s string) string { return "/" + strings.Trim(s, "/") }

// SetAddress returns the name of a set in URLs.
func SetAddress(s *edm.Set) string {
	if s.Default {
		return s.Name
	}
	return s.Container + "." + s.Name
}

// Collections returns the names in a service document, in JSON or Atom. ok is false for any other document.
func Collections(body []byte) (names []string, ok bool) {
	if v, err := jsontext.Parse(body); err == nil {
		if v.Has("d") {
			v = v.Get("d")
		}
		for _, item := range v.Get("EntitySets").Items {
			names = append(names, item.Text)
		}
		for _, item := range v.Get("value").Items { // of OData v4
			if kind := item.Get("kind").Text; kind == "" || kind == "EntitySet" || kind == "Singleton" {
				names = append(names, item.Get("name").Text)
			}
		}
		return names, v.Has("EntitySets") || v.Get("value").Kind == jsontext.Array
	}
	r := markup.NewReader(body)
	if kind, err := r.Next(); err != nil || kind != markup.Open || r.Local != "service" {
		return nil, false
	}
	for {
		kind, err := r.Next()
		switch {
		case err != nil:
			return nil, false
		case kind == markup.End:
			return names, true
		case kind == markup.Open && r.Local == "collection":
			href, _ := r.Attribute("href")
			names = append(names, href)
		}
	}
}
