package inspect

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

// maxServices is how many services are listed.
const maxServices = 10_000

// listServices lists what the catalogue of an SAP system holds.
func listServices(p *probe.Prober, a arguments) (wit.CommandResult, error) {
	v := sourceconfig.Table.Values(a.given)
	query, at := config.Query(v), sourceconfig.Origin(v)
	const options = "$format=json"
	rows, catalogue, next, err := p.Catalogue(query, options)
	from, list := query.On(probe.Catalogues[catalogue]+"/ServiceCollection?"+options), jsontext.List()
	trail := pageTrail{list: "catalogue of services"}
	for err == nil {
		if err := trail.add(from); err != nil {
			return wit.CommandResult{}, err
		}
		for _, s := range rows {
			if begins(s.Name, a.prefix) || begins(s.Path, a.prefix) {
				list.Items = append(list.Items, jsontext.Of(probe.Member("service", s.Path),
					probe.Member("name", s.Name),
					probe.Member("version", s.Version), probe.Member("title", s.Title)))
			}
		}
		if next == "" || len(list.Items) >= maxServices {
			return probe.Document(list), nil
		}
		target, wrong := at.Resolve(next, "", from)
		if wrong != nil {
			return wit.CommandResult{}, odataerror.ForSetting(config.LinkHosts, "catalogue of services: "+wrong.Error())
		}
		from = query.On(target)
		rows, next, err = p.More(from)
	}
	return wit.CommandResult{}, err
}

// begins reports whether a text begins with another, in any case.
func begins(text, prefix string) bool {
	return strings.HasPrefix(strings.ToLower(text), strings.ToLower(prefix))
}
