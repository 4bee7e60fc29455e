package inspect

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/advice"
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

const (
	CommandServices = "list-services"
	OptionPrefix    = "prefix"
)

// maxServices is how many services are listed.
const maxServices = 10_000

// ListServices lists what the catalogue of an SAP system holds. The state is the version of the catalogue that is asked
// and what came.
func ListServices(prefix string, given []wit.Setting, state []byte, answers []wit.Response) (wit.Reply, error) {
	v := entry.Table.Values(given)
	at, found := 0, []advice.Service(nil)
	if len(state) > 0 {
		r := pack.Open(state)
		at = r.Number()
		for n := r.Count(); n > 0 && !r.Bad; n-- {
			found = append(found, advice.Service{Name: r.Text(), Version: r.Text(), Title: r.Text(), Path: r.Text()})
		}
		if !r.Done() || at >= len(advice.Catalogues) {
			return wit.Reply{}, &wit.Fault{Kind: wit.FaultInternal,
				Message: CommandServices + ": the state can't be read"}
		}
	}
	ask := func(target string) (wit.Reply, error) {
		next := pack.Number(pack.Number(nil, at), len(found))
		for _, s := range found {
			next = pack.Text(pack.Text(pack.Text(pack.Text(next, s.Name), s.Version), s.Title), s.Path)
		}
		return wit.Reply{Ask: &wit.Need{State: next, Requests: []wit.Request{advice.CatalogueRequest("catalogue",
			target)}}}, nil
	}
	first := func() (wit.Reply, error) {
		return ask(config.Query(v).On(advice.Catalogues[at] + "/ServiceCollection?$format=json"))
	}
	if len(answers) == 0 {
		return first()
	}
	answer := &answers[0]
	if answer.Status < 200 || answer.Status > 299 {
		if at+1 < len(advice.Catalogues) && (answer.Status == 404 || answer.Status == 403 || answer.Status == 400) {
			at++
			return first()
		}
		f := fault.Of("catalogue of services", answer, answer.Body)
		f.Message += "; SAP systems have it where " + advice.Catalogues[len(advice.Catalogues)-1] +
			" is active (transaction /IWFND/MAINT_SERVICE)"
		return wit.Reply{}, f
	}
	rows, next, err := advice.ReadCatalogue(answer)
	if err != nil {
		return wit.Reply{}, err
	}
	for _, s := range rows {
		if begins(s.Name, prefix) || begins(s.Path, prefix) {
			found = append(found, s)
		}
	}
	if next != "" && len(found) < maxServices {
		o := entry.Origin(v)
		target, err := o.Resolve(next, "", answer.Target)
		if err != nil {
			return wit.Reply{}, fault.Config(config.LinkHosts, "catalogue of services: "+err.Error())
		}
		return ask(config.Query(v).On(target))
	}
	list := jsontext.List()
	for _, s := range found {
		list.Items = append(list.Items, jsontext.Of(Member("service", jsontext.Text(s.Path)),
			Member("name", jsontext.Text(s.Name)),
			Member("version", jsontext.Text(s.Version)), Member("title", jsontext.Text(s.Title))))
	}
	return wit.Reply{Document: wit.Ptr(string(jsontext.Append(nil, list)))}, nil
}

// begins reports whether a text begins with another, in any case.
func begins(text, prefix string) bool {
	return strings.HasPrefix(strings.ToLower(text), strings.ToLower(prefix))
}
