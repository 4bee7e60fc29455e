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

const maxServices = 10_000 // in the result

// listServices returns the services whose name or path has the prefix.
func listServices(prober *probe.Prober, args arguments) (wit.CommandResult, error) {
	v := args.values()
	query := config.Query(v)
	origin := sourceconfig.Origin(v)
	page, err := prober.Catalogue(query)
	list := jsontext.NewArray()
	trail := pageTrail{list: "catalogue of services"}
	for err == nil {
		if err := trail.add(page.Target); err != nil {
			return wit.CommandResult{}, err
		}
		for _, s := range page.Services {
			if hasPrefixFold(s.Name, args.prefix) || hasPrefixFold(s.Path, args.prefix) {
				list.Items = append(list.Items, jsontext.NewObject(probe.TextMember("service", s.Path),
					probe.TextMember("name", s.Name),
					probe.TextMember("version", s.Version), probe.TextMember("title", s.Title)))
			}
		}
		if page.Next == "" || len(list.Items) >= maxServices {
			return probe.JSONResult(list), nil
		}
		target, wrong := origin.Resolve(page.Next, "", page.Target)
		if wrong != nil {
			return wit.CommandResult{}, odataerror.ForSetting(config.LinkHosts, "catalogue of services: "+wrong.Error())
		}
		page, err = prober.NextPage(page, query.AppendTo(target))
	}
	return wit.CommandResult{}, err
}

func hasPrefixFold(text, prefix string) bool {
	return strings.HasPrefix(strings.ToLower(text), strings.ToLower(prefix))
}
