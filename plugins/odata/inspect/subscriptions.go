package inspect

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/notify"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// EscapedSegment encodes a name as path segment of the notification listener, as the host does.
func EscapedSegment(name string) string { return string(uri.AppendEscaped(nil, name)) }

// Subscriptions calls each for the subscriptions in a collection of a service, page by page. resolve turns a link into
// a target.
func Subscriptions(p *probe.Prober, v setting.Values, root, collection string,
	each func(s *notify.Subscription, resolve func(link string) (string, error)) error) error {
	what := "subscriptions of " + root
	fail := func(err error) error { return &wit.Error{Kind: wit.ErrorData, Message: what + ": " + err.Error()} }
	trail := pageTrail{list: what}
	for target := root + "/" + collection; ; {
		request := notify.ListRequest(config.Query(v).AppendTo(target))
		if err := trail.add(request.Target); err != nil {
			return err
		}
		request.Tag += " " + target
		answer, err := p.Get(request)
		if err != nil {
			return err
		}
		page, next, err := notify.ReadSubscriptions(what, answer)
		if err != nil {
			return err
		}
		resolve := func(link string) (string, error) { return entry.Origin(v).Resolve(link, "", answer.Target) }
		for i := range page {
			if err := each(&page[i], resolve); err != nil {
				return fail(err)
			}
		}
		if next == "" {
			return nil
		}
		if target, err = resolve(next); err != nil {
			return fail(err)
		}
	}
}

func activeSubscriptions(p *probe.Prober, a arguments) (wit.CommandResult, error) {
	v := entry.Table.Values(a.settings)
	m, err := p.Metadata(a.root, config.Query(v))
	if err != nil {
		return wit.CommandResult{}, err
	}
	collection := feed.CollectionOf(m)
	if collection == "" {
		return wit.CommandResult{}, fault.Config(optionService,
			"the service "+a.root+" takes no subscriptions: it has no entity set "+feed.CollectionName)
	}
	list := jsontext.NewArray()
	err = Subscriptions(p, v, a.root, collection, func(s *notify.Subscription,
		resolve func(string) (string, error)) error {
		if target, err := resolve(s.Target); err == nil {
			s.Target = target
		}
		list.Items = append(list.Items, jsontext.NewObject(probe.Member("id", s.ID),
			probe.Member("collection", s.Collection),
			probe.Member("changeType", s.ChangeType), probe.Member("deliveryAddress", s.Address),
			probe.Member("user", s.User), probe.Member("updated", s.Updated), probe.Member("url", s.Target)))
		return nil
	})
	return probe.Document(list), err
}

// deleteSubscription deletes a subscription by its URL. It rejects other URLs.
func deleteSubscription(p *probe.Prober, a arguments) (wit.CommandResult, error) {
	v := entry.Table.Values(a.settings)
	set, _, err := uri.ParsePredicate(a.link)
	if err != nil || !strings.Contains(set, "Subscription") {
		return wit.CommandResult{}, fault.Config(optionURL,
			"expected the URL of a subscription, such as /sap/opu/odata/sap/X_SRV/"+feed.CollectionName+
				"('ID'), as "+commandActive+" shows it, found "+a.link)
	}
	target, err := entry.Origin(v).Resolve(a.link, "", "/")
	if err != nil {
		return wit.CommandResult{}, fault.Config(optionURL, err.Error())
	}
	root := target[:strings.LastIndex(target, "/"+set)]
	answer, err := p.Get(notify.EndRequest("subscription", target, root, config.Query(v)))
	if err != nil {
		return wit.CommandResult{}, err
	}
	if answer.Status < 200 || answer.Status > 299 {
		return wit.CommandResult{}, fault.Of("subscription "+target, answer, answer.Body)
	}
	return probe.Document(jsontext.NewObject(probe.Member("deleted", target))), nil
}
