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
type CatalogueEntry struct {
	Name    string // technical name
	Version string
	Title   string
	Path    string // without a trailing slash
}

// Catalogue returns a page of the newest catalogue that answers, its index in [Catalogues], and the next link. Errors
// are *wit.Error or [ErrMissing].
func (p *Prober) Catalogue(query uri.Query, options string) (rows []CatalogueEntry, index int, next string, err error) {
	for index = range Catalogues {
		answer, err := p.Get(catalogueRequest(query, Catalogues[index], options))
		if err != nil {
			return nil, index, "", err
		}
		rows, next, err = readCatalogue(answer)
		f, isRejected := err.(*wit.Error)
		last := index == len(Catalogues)-1
		if isRejected && last {
			f.Message += "; SAP systems have it where " + Catalogues[index] +
				" is active (transaction /IWFND/MAINT_SERVICE)"
		}
		if !isRejected || last || (answer.Status != 404 && answer.Status != 403 && answer.Status != 400) {
			return rows, index, next, err
		}
	}
	return nil, 0, "", nil
}

// CataloguePage returns the page that a next link of the catalogue leads to, and its own next link.
func (p *Prober) CataloguePage(target string) (rows []CatalogueEntry, next string, err error) {
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
			row.Get("Title").Text, pathOf(row.Get("ServiceUrl").Text)}
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
