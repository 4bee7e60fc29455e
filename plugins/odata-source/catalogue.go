package main

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/checkup"
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/pack"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

const (
	commandServices = "list-services"
	optionPrefix    = "prefix"
)

// catalogues are the versions of the catalogue service of SAP Gateway, the newest first.
var catalogues = []string{checkup.Catalogue, "/sap/opu/odata/IWFND/CATALOGSERVICE"}

// maxServices is how many services are listed.
const maxServices = 10_000

// catalogued is a service of the catalogue.
type catalogued struct{ name, version, title, path string }

// listServices lists what the catalogue of an SAP system holds. The state is the version of the catalogue that is asked
// and what came.
func listServices(prefix string, given []wit.Setting, state []byte, answers []wit.Response) (wit.Reply, error) {
	v := settings.Values(given)
	at, found := 0, []catalogued(nil)
	if len(state) > 0 {
		r := pack.Open(state)
		at = r.Number()
		for n := r.Count(); n > 0 && !r.Bad; n-- {
			found = append(found, catalogued{r.Text(), r.Text(), r.Text(), r.Text()})
		}
		if !r.Done() || at >= len(catalogues) {
			return wit.Reply{}, &wit.Fault{Kind: wit.FaultInternal, Message: commandServices + ": the state can't be read"}
		}
	}
	ask := func(target string) (wit.Reply, error) {
		next := pack.Number(pack.Number(nil, at), len(found))
		for _, s := range found {
			next = pack.Text(pack.Text(pack.Text(pack.Text(next, s.name), s.version), s.title), s.path)
		}
		return wit.Reply{Ask: &wit.Need{State: next, Requests: []wit.Request{catalogueRequest("catalogue", target)}}}, nil
	}
	first := func() (wit.Reply, error) {
		return ask(config.Query(v).On(catalogues[at] + "/ServiceCollection?$format=json"))
	}
	if len(answers) == 0 {
		return first()
	}
	answer := &answers[0]
	if answer.Status < 200 || answer.Status > 299 {
		if at+1 < len(catalogues) && (answer.Status == 404 || answer.Status == 403 || answer.Status == 400) {
			at++
			return first()
		}
		f := fault.Of("catalogue of services", answer, answer.Body)
		f.Message += "; SAP systems have it where " + catalogues[len(catalogues)-1] + " is active (transaction /IWFND/MAINT_SERVICE)"
		return wit.Reply{}, f
	}
	rows, next, err := readCatalogue(answer)
	if err != nil {
		return wit.Reply{}, err
	}
	for _, s := range rows {
		if begins(s.name, prefix) || begins(s.path, prefix) {
			found = append(found, s)
		}
	}
	if next != "" && len(found) < maxServices {
		o := origin(v)
		target, err := o.Resolve(next, "", answer.Target)
		if err != nil {
			return wit.Reply{}, fault.Config(config.LinkHosts, "catalogue of services: "+err.Error())
		}
		return ask(target)
	}
	list := jsontext.List()
	for _, s := range found {
		list.Items = append(list.Items, jsontext.Of(member("service", jsontext.Text(s.path)), member("name", jsontext.Text(s.name)),
			member("version", jsontext.Text(s.version)), member("title", jsontext.Text(s.title))))
	}
	return wit.Reply{Document: wit.Ptr(string(jsontext.Append(nil, list)))}, nil
}

// readCatalogue reads an answer of the catalogue; next is the link to what comes behind it, "" for none. Errors are
// *wit.Fault.
func readCatalogue(answer *wit.Response) (rows []catalogued, next string, err error) {
	const what = "catalogue of services"
	if answer.Status < 200 || answer.Status > 299 {
		return nil, "", fault.Of(what, answer, answer.Body)
	}
	document, err := jsontext.Parse(answer.Body)
	if err != nil || !document.Has("d") {
		return nil, "", fault.NotData(what, "rows in JSON", answer.Body)
	}
	d := document.At("d")
	for _, row := range d.At("results").Items {
		s := catalogued{row.At("TechnicalServiceName").Text, row.At("TechnicalServiceVersion").Text, row.At("Title").Text,
			pathOf(row.At("ServiceUrl").Text)}
		if s.title == "" || s.title == s.name {
			s.title = row.At("Description").Text
		}
		rows = append(rows, s)
	}
	return rows, d.At("__next").Text, nil
}

// catalogueRequest asks a catalogue for services.
func catalogueRequest(tag, target string) wit.Request {
	return wit.Request{Tag: tag, Method: "GET", Target: target, Repeatable: true,
		Headers: []wit.Header{{Name: "Accept", Value: "application/json"},
			{Name: "MaxDataServiceVersion", Value: "2.0"}}}
}

// begins tells whether a text begins with another, in any case.
func begins(text, prefix string) bool {
	return strings.HasPrefix(strings.ToLower(text), strings.ToLower(prefix))
}

// pathOf is the path of a service's URL, which the catalogue has with whatever host it knows itself by.
func pathOf(url string) string {
	target, err := (uri.Origin{}).Resolve(url, "", "/")
	if err != nil {
		return url
	}
	path, _, _ := strings.Cut(target, "?")
	return "/" + strings.Trim(path, "/")
}
