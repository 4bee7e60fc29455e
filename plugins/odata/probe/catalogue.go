package probe

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

// Catalogues are the versions of SAP Gateway's catalogue service, the newest first.
var Catalogues = []string{"/sap/opu/odata/IWFND/CATALOGSERVICE;v=2", "/sap/opu/odata/IWFND/CATALOGSERVICE"}

// CatalogueEntry is a service of the catalogue.
type CatalogueEntry struct{ Name, Version, Title, Path string }

// Catalogue returns services of the newest catalogue that answers, its index in [Catalogues], and the next link. Errors
// are *wit.Error or [ErrMissing].
func (p *Prober) Catalogue(query uri.Query, options string) (rows []CatalogueEntry, at int, next string, err error) {
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
		if !refused || last || (answer.Status != 404 && answer.Status != 403 && answer.Status != 400) {
			return rows, at, next, err
		}
	}
	return nil, 0, "", nil
}

// More returns the services behind a next link, and the next one.
func (p *Prober) More(target string) (rows []CatalogueEntry, next string, err error) {
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

func readCatalogue(answer *wit.Response) (rows []CatalogueEntry, next string, err error) {
	const what = "catalogue of services"
	if !succeeded(answer) {
		return nil, "", odataerror.FromResponse(what, answer, answer.Body)
	}
	document, err := jsontext.Parse(answer.Body)
	if err != nil || !document.Has("d") {
		return nil, "", odataerror.NotData(what, "rows in JSON", answer.Body)
	}
	content := document.Get("d")
	for _, row := range content.Get("results").Items {
		s := CatalogueEntry{row.Get("TechnicalServiceName").Text, row.Get("TechnicalServiceVersion").Text,
			row.Get("Title").Text,
			pathOf(row.Get("ServiceUrl").Text)}
		if s.Title == "" || s.Title == s.Name {
			s.Title = row.Get("Description").Text
		}
		rows = append(rows, s)
	}
	return rows, content.Get("__next").Text, nil
}

func pathOf(url string) string {
	target, err := (uri.Origin{}).Resolve(url, "", "/")
	if err != nil {
		return url
	}
	path, _, _ := strings.Cut(target, "?")
	return service.Path(path)
}
