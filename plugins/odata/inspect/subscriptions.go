package inspect

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/notifications"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// EscapedSegment is a name as a segment of a path at the listener, as the host writes it.
func EscapedSegment(name string) string { return string(uri.AppendEscaped(nil, name)) }

// Subscriptions calls each for the subscriptions in a collection of a service, in its pages; resolve makes a target of
// a link in an answer.
func Subscriptions(p *probe.Prober, v setting.Values, root, collection string,
	each func(s *notifications.Subscription, resolve func(link string) (string, error)) error) error {
	what := "subscriptions of " + root
	fail := func(err error) error { return &wit.Error{Kind: wit.ErrorData, Message: what + ": " + err.Error()} }
	trail := pageTrail{list: what}
	for target := root + "/" + collection; ; {
		request := notifications.ListRequest(config.Query(v).On(target))
		if err := trail.add(request.Target); err != nil {
			return err
		}
		request.Tag += " " + target
		answer, err := p.Get(request)
		if err != nil {
			return err
		}
		page, next, err := notifications.ReadSubscriptions(what, answer)
		if err != nil {
			return err
		}
		resolve := func(link string) (string, error) { return sourceconfig.Origin(v).Resolve(link, "", answer.Target) }
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

// activeSubscriptions lists the subscriptions that the user has at a service.
func activeSubscriptions(p *probe.Prober, a arguments) (wit.CommandResult, error) {
	v := sourceconfig.Table.Values(a.given)
	m, err := p.Metadata(a.root, config.Query(v))
	if err != nil {
		return wit.CommandResult{}, err
	}
	collection := feedreader.SubscriptionSet(m)
	if collection == "" {
		return wit.CommandResult{}, odataerror.ForSetting(optionService,
			"the service "+a.root+" takes no subscriptions: it has no entity set "+feedreader.DefaultSubscriptionSet)
	}
	list := jsontext.List()
	err = Subscriptions(p, v, a.root, collection, func(s *notifications.Subscription,
		resolve func(string) (string, error)) error {
		if target, err := resolve(s.Target); err == nil {
			s.Target = target
		}
		list.Items = append(list.Items, jsontext.Of(probe.Member("id", s.ID), probe.Member("collection", s.Collection),
			probe.Member("changeType", s.ChangeType), probe.Member("deliveryAddress", s.Address),
			probe.Member("user", s.User), probe.Member("updated", s.Updated), probe.Member("url", s.Target)))
		return nil
	})
	return probe.Document(list), err
}

// deleteSubscription deletes one by its URL. Nothing but subscriptions is deleted.
func deleteSubscription(p *probe.Prober, a arguments) (wit.CommandResult, error) {
	v := sourceconfig.Table.Values(a.given)
	set, _, err := uri.ParsePredicate(a.link)
	if err != nil || !strings.Contains(set, "Subscription") {
		return wit.CommandResult{}, odataerror.ForSetting(optionURL,
			"expected the URL of a subscription, such as /sap/opu/odata/sap/X_SRV/"+feedreader.DefaultSubscriptionSet+
				"('ID'), as "+commandActive+" shows it, found "+a.link)
	}
	target, err := sourceconfig.Origin(v).Resolve(a.link, "", "/")
	if err != nil {
		return wit.CommandResult{}, odataerror.ForSetting(optionURL, err.Error())
	}
	root := target[:strings.LastIndex(target, "/"+set)]
	answer, err := p.Get(notifications.EndRequest("subscription", target, root, config.Query(v)))
	if err != nil {
		return wit.CommandResult{}, err
	}
	if answer.Status < 200 || answer.Status > 299 {
		return wit.CommandResult{}, odataerror.FromResponse("subscription "+target, answer, answer.Body)
	}
	return probe.Document(jsontext.Of(probe.Member("deleted", target))), nil
}
