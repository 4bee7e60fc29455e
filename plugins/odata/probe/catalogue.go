package probe

import (
	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

// CataloguePage is a page of a catalogue of services.
type CataloguePage struct {
	Services []CatalogueEntry
	Target   string // of its request
	Next     string // link to the next page, "" on the last one

	catalogue *catalogue
}

// CatalogueEntry is a service of the catalogue.
type CatalogueEntry struct {
	Name    string // technical name
	Version string
	Title   string
	Path    string // without a trailing slash
}

// Catalogue returns the first page of the newest catalogue that answers. Errors are *wit.Error or [ErrMissing].
func (p *Prober) Catalogue(query uri.Query) (*CataloguePage, error) {
	return p.firstPage(query, func(c *catalogue) string { return c.options })
}

// firstPage returns a page of the newest catalogue that answers a request with these options.
func (p *Prober) firstPage(query uri.Query, options func(*catalogue) string) (page *CataloguePage, err error) {
	catalogues := gateways[p.Dialect].catalogues
	for i := range catalogues {
		current := &catalogues[i]
		request := p.catalogueRequest(query, current, options(current))
		response, err := p.Get(request)
		if err != nil {
			return nil, err
		}
		page, err = p.readPage(current, request.Target, response)
		failure, isRejected := err.(*wit.Error)
		isLast := i == len(catalogues)-1
		if isRejected && isLast {
			failure.Message += "; SAP systems have it where " + current.condition
		}
		// The system does not have this version, or does not allow it.
		isMissing := response.Status == 404 || response.Status == 403 || response.Status == 400
		if !isRejected || isLast || !isMissing {
			return page, err
		}
	}
	return nil, nil // not reached: the last catalogue returns
}

// NextPage returns the page at the target of a page's next link.
func (p *Prober) NextPage(page *CataloguePage, target string) (*CataloguePage, error) {
	response, err := p.Get(document.Get(p.Dialect, "catalogue "+target, target, jsonType))
	if err != nil {
		return nil, err
	}
	return p.readPage(page.catalogue, target, response)
}

const jsonType = "application/json"

func (p *Prober) catalogueRequest(query uri.Query, c *catalogue, options string) wit.Request {
	return document.Get(p.Dialect, "catalogue "+c.list+" "+options, query.AppendTo(c.list+"?"+options), jsonType)
}

// readPage reads the page of a catalogue at a target.
func (p *Prober) readPage(c *catalogue, target string, response *wit.Response) (*CataloguePage, error) {
	const subject = "catalogue of services"
	if !isSuccess(response) {
		return nil, odataerror.FromResponse(subject, response, response.Body)
	}
	parsed, err := jsontext.Parse(response.Body)
	if err != nil || !parsed.Has(p.Dialect.Root) {
		return nil, odataerror.NotData(subject, "rows in JSON", response.Body)
	}
	page := c.read(parsed)
	page.Target = target
	page.catalogue = c
	return page, nil
}
