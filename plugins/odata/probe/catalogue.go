package probe

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
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
		response, err := p.Get(p.catalogueRequest(query, Catalogues[index], options))
		if err != nil {
			return nil, index, "", err
		}
		rows, next, err = readCatalogue(response)
		failure, isRejected := err.(*wit.Error)
		isLast := index == len(Catalogues)-1
		if isRejected && isLast {
			failure.Message += "; SAP systems have it where " + Catalogues[index] +
				" is active (transaction /IWFND/MAINT_SERVICE)"
		}
		// The system does not have this version, or does not allow it.
		isMissing := response.Status == 404 || response.Status == 403 || response.Status == 400
		if !isRejected || isLast || !isMissing {
			return rows, index, next, err
		}
	}
	return nil, 0, "", nil // not reached: the last catalogue returns
}

// CataloguePage returns the page at a next link of the catalogue, and the next link of that page.
func (p *Prober) CataloguePage(target string) (rows []CatalogueEntry, next string, err error) {
	response, err := p.Get(document.Get(p.Dialect, "catalogue "+target, target, "application/json"))
	if err != nil {
		return nil, "", err
	}
	return readCatalogue(response)
}

func (p *Prober) catalogueRequest(query uri.Query, root, options string) wit.Request {
	return document.Get(p.Dialect, "catalogue "+root+" "+options, query.AppendTo(root+"/ServiceCollection?"+options),
		"application/json")
}

// readCatalogue reads a page of the catalogue, and the next link.
func readCatalogue(response *wit.Response) (rows []CatalogueEntry, next string, err error) {
	const subject = "catalogue of services"
	if !isSuccess(response) {
		return nil, "", odataerror.FromResponse(subject, response, response.Body)
	}
	parsed, err := jsontext.Parse(response.Body)
	if err != nil || !parsed.Has("d") {
		return nil, "", odataerror.NotData(subject, "rows in JSON", response.Body)
	}
	content := parsed.Get("d")
	for _, row := range content.Get("results").Items {
		entry := CatalogueEntry{Name: row.Get("TechnicalServiceName").Text, Title: row.Get("Title").Text,
			Version: row.Get("TechnicalServiceVersion").Text, Path: pathOf(row.Get("ServiceUrl").Text)}
		if entry.Title == "" || entry.Title == entry.Name {
			entry.Title = row.Get("Description").Text
		}
		rows = append(rows, entry)
	}
	return rows, content.Get("__next").Text, nil
}

// pathOf returns the path of a service's URL, or the URL itself if it is invalid.
func pathOf(url string) string {
	target, err := (uri.Origin{}).Resolve(url, "", "/")
	if err != nil {
		return url
	}
	path, _, _ := strings.Cut(target, "?")
	return document.ServicePath(path)
}
