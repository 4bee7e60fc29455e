package inspect

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
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

// EscapedSegment encodes a name as path segment of the notification listener, as the host does.
func EscapedSegment(name string) string { return string(uri.AppendEscaped(nil, name)) }

// ResolveFunc turns a link of a service into the target of a request.
type ResolveFunc func(link string) (target string, err error)

// VisitSubscriptions calls visit for each subscription in a collection of a service, page by page.
func VisitSubscriptions(prober *probe.Prober, values setting.Values, root, collection string,
	visit func(subscription *notifications.Subscription, resolve ResolveFunc) error) error {
	subject := "subscriptions of " + root
	fail := func(err error) error { return &wit.Error{Kind: wit.ErrorData, Message: subject + ": " + err.Error()} }
	trail := pageTrail{list: subject}
	for target := root + "/" + collection; ; {
		request := notifications.ListRequest(config.Query(values).AppendTo(target))
		if err := trail.add(request.Target); err != nil {
			return err
		}
		request.Tag += " " + target
		answer, err := prober.Get(request)
		if err != nil {
			return err
		}
		page, next, err := notifications.ReadSubscriptions(subject, answer)
		if err != nil {
			return err
		}
		resolve := func(link string) (string, error) {
			return sourceconfig.Origin(values).Resolve(link, "", answer.Target)
		}
		for i := range page {
			if err := visit(&page[i], resolve); err != nil {
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

func activeSubscriptions(prober *probe.Prober, args arguments) (wit.CommandResult, error) {
	values := args.values()
	m, err := prober.Metadata(args.root, config.Query(values))
	if err != nil {
		return wit.CommandResult{}, err
	}
	collection := feedreader.SubscriptionSet(m)
	if collection == "" {
		return wit.CommandResult{}, odataerror.ForSetting(optionService,
			"the service "+args.root+" accepts no subscriptions: it has no entity set "+
				feedreader.DefaultSubscriptionSet)
	}
	list := jsontext.NewArray()
	add := func(subscription *notifications.Subscription, resolve ResolveFunc) error {
		if target, err := resolve(subscription.Target); err == nil {
			subscription.Target = target
		}
		list.Items = append(list.Items, jsontext.NewObject(probe.TextMember("id", subscription.ID),
			probe.TextMember("collection", subscription.Collection),
			probe.TextMember("changeType", subscription.ChangeType),
			probe.TextMember("deliveryAddress", subscription.Address),
			probe.TextMember("user", subscription.User),
			probe.TextMember("updated", subscription.Updated),
			probe.TextMember("url", subscription.Target)))
		return nil
	}
	err = VisitSubscriptions(prober, values, args.root, collection, add)
	return probe.JSONResult(list), err
}

// deleteSubscription deletes a subscription by its URL. It rejects other URLs.
func deleteSubscription(prober *probe.Prober, args arguments) (wit.CommandResult, error) {
	values := args.values()
	set, _, err := uri.ParsePredicate(edm.V2, args.link)
	if err != nil || !strings.Contains(set, "Subscription") {
		return wit.CommandResult{}, odataerror.ForSetting(optionURL,
			"expected the URL of a subscription, such as /sap/opu/odata/sap/X_SRV/"+feedreader.DefaultSubscriptionSet+
				"('ID'), as shown by "+commandActive+", found "+args.link)
	}
	target, err := sourceconfig.Origin(values).Resolve(args.link, "", "/")
	if err != nil {
		return wit.CommandResult{}, odataerror.ForSetting(optionURL, err.Error())
	}
	root := target[:strings.LastIndex(target, "/"+set)]
	answer, err := prober.Get(notifications.DeleteRequest("subscription", target, root, config.Query(values)))
	if err != nil {
		return wit.CommandResult{}, err
	}
	if answer.Status < 200 || answer.Status > 299 {
		return wit.CommandResult{}, odataerror.FromResponse("subscription "+target, answer, answer.Body)
	}
	return probe.JSONResult(jsontext.NewObject(probe.TextMember("deleted", target))), nil
}
