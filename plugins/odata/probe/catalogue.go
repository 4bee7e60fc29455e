package probe

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

// Catalogues are the versions of the catalogue service of SAP Gateway, the newest first.
var Catalogues = []string{"/sap/opu/odata/IWFND/CATALOGSERVICE;v=2", "/sap/opu/odata/IWFND/CATALOGSERVICE"}

// Listed is a service of the catalogue.
type Listed struct{ Name, Version, Title, Path string }

// Catalogue returns services of the newest catalogue that answers a request with these options, which of [Catalogues]
// that is, and the link to what comes after them; "" for none. Errors are *wit.Fault or
// [ErrMissing].
func (p *Prober) Catalogue(query uri.Query, options string) (rows []Listed, at int, next string, err error) {
	for at = range Catalogues {
		answer, err := p.Get(catalogueRequest(query, Catalogues[at], options))
		if err != nil {
			return nil, at, "", err
		}
		rows, next, err = readCatalogue(answer)
		f, refused := err.(*wit.Error)
		last := at == len(Catalogues)-1
		if refused && last {
			f.Message += "; SAP systems have it where " + Catalogues[at] +
				" is active (transaction /IWFND/MAINT_SERVICE)"
		}
		if !refused || last || answer.Status != 404 && answer.Status != 403 && answer.Status != 400 {
			return rows, at, next, err
		}
	}
	return nil, 0, "", nil
}

// More returns the services behind a link of the catalogue, to which it was resolved, and the link to those after them.
func (p *Prober) More(target string) (rows []Listed, next string, err error) {
	answer, err := p.Get(service.Get("catalogue "+target, target, "application/json"))
	if err != nil {
		return nil, "", err
	}
	return readCatalogue(answer)
}

func catalogueRequest(query uri.Query, root, options string) wit.Request {
	return service.Get("catalogue "+root+" "+options, query.AppendTo(root+"/ServiceCollection?"+options),
		"application/json")
}

// readCatalogue reads an answer of the catalogue; next is the link to what comes after it, "" for none. Errors are
// *wit.Fault.
func readCatalogue(answer *wit.Response) (rows []Listed, next string, err error) {
	const what = "catalogue of services"
	if !succeeded(answer) {
		return nil, "", fault.Of(what, answer, answer.Body)
	}
	document, err := jsontext.Parse(answer.Body)
	if err != nil || !document.Has("d") {
		return nil, "", fault.NotData(what, "rows in JSON", answer.Body)
	}
	d := document.Get("d")
	for _, row := range d.Get("results").Items {
		s := Listed{row.Get("TechnicalServiceName").Text, row.Get("TechnicalServiceVersion").Text,
			row.Get("Title").Text,
			pathOf(row.Get("ServiceUrl").Text)}
		if s.Title == "" || s.Title == s.Name {
			s.Title = row.Get("Description").Text
		}
		rows = append(rows, s)
	}
	return rows, d.Get("__next").Text, nil
}

// pathOf is the path of a service's URL, which the catalogue has with whatever host it knows itself by.
func pathOf(url string) string {
	target, err := (uri.Origin{}).Resolve(url, "", "/")
	if err != nil {
		return url
	}
	path, _, _ := strings.Cut(target, "?")
	return service.Path(path)
}
