package probe

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/uri"
)

// gateway is what SAP Gateway has for the services of a dialect.
type gateway struct {
	registration string      // the transaction that registers services
	node         string      // the node of the services in transaction SICF
	nameAt       int         // position of a service's name in its path, from the end
	catalogues   []catalogue // the newest first
}

// catalogue is a version of the service that lists services.
type catalogue struct {
	list      string                              // path of the list
	options   string                              // of each request
	limited   string                              // options of requests for recommendations
	filter    func(prefix string) string          // returns an option that selects names; nil means that none is known
	read      func(jsontext.Value) *CataloguePage // reads a document in JSON
	condition string                              // when SAP systems have the catalogue, for a message
}

// gateways are what SAP Gateway has, by dialect. Whether the catalogue for v4 has filters is not documented.
var gateways = map[*edm.Dialect]*gateway{
	edm.V2: {
		registration: "/IWFND/MAINT_SERVICE",
		node:         "default_host/sap/opu/odata",
		nameAt:       1,
		catalogues: []catalogue{
			catalogueV2("/sap/opu/odata/IWFND/CATALOGSERVICE;v=2"),
			catalogueV2("/sap/opu/odata/IWFND/CATALOGSERVICE"),
		},
	},
	edm.V4: {
		registration: "/IWFND/V4_ADMIN",
		node:         "default_host/sap/opu/odata4",
		nameAt:       2, // the version follows it
		catalogues: []catalogue{{
			list:      "/sap/opu/odata4/iwfnd/config/default/iwfnd/catalog/0002/ServiceGroups",
			options:   "$expand=DefaultSystem($expand=Services)",
			limited:   "$expand=DefaultSystem($expand=Services)",
			read:      readGroups,
			condition: "the service group /IWFND/CONFIG is published (transaction /IWFND/V4_ADMIN)",
		}},
	},
}

func catalogueV2(root string) catalogue {
	return catalogue{
		list:    root + "/ServiceCollection",
		options: "$format=json",
		limited: allServices,
		filter: func(prefix string) string {
			literal := uri.AppendLiteral(nil, edm.V2, uri.Literal{Type: edm.String, Text: prefix})
			return "$filter=" + string(uri.AppendEscaped(nil, "startswith(TechnicalServiceName,"+string(literal)+")"))
		},
		read:      readCollection,
		condition: root + " is active (transaction /IWFND/MAINT_SERVICE)",
	}
}

// readCollection reads a page of the catalogue of services of v2.
func readCollection(page jsontext.Value) *CataloguePage {
	content := page.Get("d")
	result := &CataloguePage{Next: content.Get("__next").Text}
	for _, row := range content.Get("results").Items {
		entry := CatalogueEntry{Name: row.Get("TechnicalServiceName").Text, Title: row.Get("Title").Text,
			Version: row.Get("TechnicalServiceVersion").Text, Path: pathOf(row.Get("ServiceUrl").Text)}
		if entry.Title == "" || entry.Title == entry.Name {
			entry.Title = row.Get("Description").Text
		}
		result.Services = append(result.Services, entry)
	}
	return result
}

// readGroups reads a page of the catalogue of services of v4, in which groups contain the services, some of them more
// than once.
func readGroups(page jsontext.Value) *CataloguePage {
	result := &CataloguePage{Next: page.Get("@odata.nextLink").Text}
	isListed := map[string]bool{}
	for _, group := range page.Get("value").Items {
		for _, row := range group.Get("DefaultSystem", "Services").Items {
			entry := CatalogueEntry{Name: row.Get("ServiceId").Text, Title: row.Get("Description").Text,
				Version: row.Get("ServiceVersion").Text, Path: pathOf(row.Get("ServiceUrl").Text)}
			if !isListed[entry.Path] {
				isListed[entry.Path] = true
				result.Services = append(result.Services, entry)
			}
		}
	}
	return result
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
