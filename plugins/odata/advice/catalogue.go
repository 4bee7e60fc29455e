package advice

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/checkup"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

// Catalogues are the versions of the catalogue service of SAP Gateway, the newest first.
var Catalogues = []string{checkup.Catalogue, "/sap/opu/odata/IWFND/CATALOGSERVICE"}

// Service is a service of the catalogue.
type Service struct{ Name, Version, Title, Path string }

// ReadCatalogue reads an answer of the catalogue; next is the link to what comes after it, "" for none. Errors are
// *wit.Fault.
func ReadCatalogue(answer *wit.Response) (rows []Service, next string, err error) {
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
		s := Service{row.At("TechnicalServiceName").Text, row.At("TechnicalServiceVersion").Text, row.At("Title").Text,
			pathOf(row.At("ServiceUrl").Text)}
		if s.Title == "" || s.Title == s.Name {
			s.Title = row.At("Description").Text
		}
		rows = append(rows, s)
	}
	return rows, d.At("__next").Text, nil
}

// CatalogueRequest asks a catalogue for services.
func CatalogueRequest(tag, target string) wit.Request {
	return service.Get(tag, target, "application/json")
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
