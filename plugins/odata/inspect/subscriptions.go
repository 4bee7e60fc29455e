package inspect

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/notify"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// Commands about subscriptions, and the option that names one.
const (
	CommandActive = "active-subscriptions"
	CommandDelete = "delete-subscription"
	OptionURL     = "u"
)

// EscapedSegment is a name as a segment of a path at the listener, as the host writes it.
func EscapedSegment(name string) string { return string(uri.AppendEscaped(nil, name)) }

// ActiveSubscriptions lists the subscriptions that the user has at a service. The state holds the rows so far.
func ActiveSubscriptions(root string, given []wit.Setting, state []byte, answers []wit.Response) (wit.Reply, error) {
	v := entry.Table.Values(given)
	query, what := config.Query(v), "subscriptions of "+root
	if len(answers) == 0 {
		return wit.Reply{Ask: &wit.Need{Requests: []wit.Request{service.MetadataRequest(root, query)}}}, nil
	}
	if len(state) == 0 {
		m, err := service.ReadMetadata(root, &answers[0])
		if err != nil {
			return wit.Reply{}, err
		}
		collection := feed.CollectionOf(m)
		if collection == "" {
			return wit.Reply{}, fault.Config(OptionService,
				"the service "+root+" takes no subscriptions: it has no entity set "+feed.CollectionName)
		}
		return wit.Reply{Ask: &wit.Need{Requests: []wit.Request{notify.ListRequest(query.On(root + "/" + collection))},
			State: pack.Texts(nil, nil)}}, nil
	}
	rows := pack.Open(state).Texts()
	page, next, err := notify.ReadSubscriptions(what, &answers[0])
	if err != nil {
		return wit.Reply{}, err
	}
	for _, s := range page {
		if target, err := entry.Origin(v).Resolve(s.Target, "", answers[0].Target); err == nil {
			s.Target = target
		}
		rows = append(rows, s.ID, s.Collection, s.ChangeType, s.Address, s.User, s.Updated, s.Target)
	}
	if next != "" {
		target, err := entry.Origin(v).Resolve(next, "", answers[0].Target)
		if err != nil {
			return wit.Reply{}, &wit.Fault{Kind: wit.FaultData, Message: what + ": " + err.Error()}
		}
		return wit.Reply{Ask: &wit.Need{Requests: []wit.Request{notify.ListRequest(query.On(target))},
			State: pack.Texts(nil, rows)}}, nil
	}
	list := jsontext.List()
	names := []string{"id", "collection", "changeType", "deliveryAddress", "user", "updated", "url"}
	for ; len(rows) >= len(names); rows = rows[len(names):] {
		var members []jsontext.Member
		for i, name := range names {
			members = append(members, Member(name, jsontext.Text(rows[i])))
		}
		list.Items = append(list.Items, jsontext.Of(members...))
	}
	return wit.Reply{Document: wit.Ptr(string(jsontext.Append(nil, list)))}, nil
}

// DeleteSubscription deletes one by its URL. Nothing but subscriptions is deleted.
func DeleteSubscription(link string, given []wit.Setting, answers []wit.Response) (wit.Reply, error) {
	v := entry.Table.Values(given)
	set, _, err := uri.ParsePredicate(link)
	if err != nil || !strings.Contains(set, "Subscription") {
		return wit.Reply{}, fault.Config(OptionURL,
			"expected the URL of a subscription, such as /sap/opu/odata/sap/X_SRV/"+feed.CollectionName+
				"('ID'), as "+CommandActive+" shows it, found "+link)
	}
	target, err := entry.Origin(v).Resolve(link, "", "/")
	if err != nil {
		return wit.Reply{}, fault.Config(OptionURL, err.Error())
	}
	if len(answers) == 0 {
		root := target[:strings.LastIndex(target, "/"+set)]
		return wit.Reply{Ask: &wit.Need{Requests: []wit.Request{notify.EndRequest("subscription", target, root,
			config.Query(v))}}}, nil
	}
	if a := &answers[0]; a.Status < 200 || a.Status > 299 {
		return wit.Reply{}, fault.Of("subscription "+target, a, a.Body)
	}
	return wit.Reply{Document: wit.Ptr(string(jsontext.Append(nil,
		jsontext.Of(Member("deleted", jsontext.Text(target))))))}, nil
}
