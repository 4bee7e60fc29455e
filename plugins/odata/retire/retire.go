package retire

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/delta"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/culvert-project/culvert/plugins/odata/inspect"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/notify"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Command ends what a connector has opened at its services (P15). A queue that is ended by mistake costs a first
// extraction, so nothing else does but the deletion of a connector that asks for it.
const Command = "retire"

// Retiring is how far a retirement is: what to do is asked for round by round.
type Retiring struct {
	V        setting.Values
	all      []entry.Entry
	services []string
	// Addresses are the paths under which the connector has subscribed; one that ends in / stands for all below it.
	Addresses []string

	phase int
	// queues are sets in delta mode, and the functions that end their queues, "" for services that keep none.
	queues []ending
	// lists are the services whose subscriptions are looked at, in the order of the answers.
	lists []string
	// ends are subscriptions to delete.
	ends []ending
}

// ending is something at a service that ends: a queue of changes, by a function, or a subscription.
type ending struct{ service, set, by, what string }

// Phases of a retirement.
const (
	retireDocuments = iota
	retireLook
	retireEnd
)

// Retire is what the deletion of a connector asks for.
func Retire(given []wit.Setting, addresses []string, state []byte,
	answers []wit.Response) (wit.Arrangement, error) {
	r := newRetiring(given, addresses)
	if len(r.all) == 0 {
		return wit.Arrangement{Done: wit.Ptr("")}, nil
	}
	need, err := r.step(state, answers)
	if err != nil || need != nil {
		return wit.Arrangement{Ask: need}, err
	}
	return wit.Arrangement{Done: wit.Ptr(strconv.Itoa(len(r.ends)) + " subscriptions, " + strconv.Itoa(r.terminated()) +
		" queues of changes")}, nil
}

// Run is the command. Subscriptions are those below the connector's path at the listener.
func Run(given []wit.Setting, state []byte, answers []wit.Response) (wit.Reply, error) {
	name := ""
	for _, s := range given {
		if s.Name == "name" {
			name = s.Value
		}
	}
	r := newRetiring(given, []string{"/" + inspect.EscapedSegment(name) + "/"})
	if len(r.all) == 0 {
		return wit.Reply{}, fault.Config(entry.NameTrackChanges,
			"no entity set of the connector is in delta mode or subscribed to: there is nothing to end at a service")
	}
	need, err := r.step(state, answers)
	if err != nil || need != nil {
		return wit.Reply{Ask: need}, err
	}
	return wit.Reply{Document: wit.Ptr(string(jsontext.Append(nil, r.report())))}, nil
}

func newRetiring(given []wit.Setting, addresses []string) *Retiring {
	r := &Retiring{V: entry.Table.Values(given), Addresses: addresses}
	r.all = slices.DeleteFunc(entry.Entries(r.V), func(e entry.Entry) bool {
		return !e.Tracking.On && !e.Subscribing.On
	})
	r.services = entry.ServicesOf(r.all)
	return r
}

// step takes the answers of one round; nil: all is done.
func (r *Retiring) step(state []byte, answers []wit.Response) (*wit.Need, error) {
	if len(answers) == 0 {
		need := &wit.Need{}
		for _, s := range r.services {
			need.Requests = append(need.Requests, service.MetadataRequest(s, config.Query(r.V)))
		}
		return need, nil
	}
	if !r.unpack(state) {
		return nil, &wit.Fault{Kind: wit.FaultInternal, Message: "the state of a retirement can't be read"}
	}
	switch r.phase {
	case retireDocuments:
		return r.documents(answers)
	case retireLook:
		return r.look(answers)
	}
	return nil, r.ended(r.ends, answers)
}

// documents asks for the functions that end the queues of sets, and for the subscriptions.
func (r *Retiring) documents(answers []wit.Response) (*wit.Need, error) {
	if len(answers) != len(r.services) {
		return nil, &wit.Fault{Kind: wit.FaultInternal, Message: "expected the metadata of all services"}
	}
	need := &wit.Need{}
	models := make([]*edm.Model, len(r.services))
	for i, s := range r.services {
		var err error
		if models[i], err = service.ReadMetadata(s, &answers[i]); err != nil {
			return nil, err
		}
	}
	for _, e := range r.all {
		m := models[slices.Index(r.services, e.Service)]
		if !e.Tracking.On {
			continue
		}
		f, err := feed.New(e, m)
		if err != nil {
			return nil, err
		}
		q := ending{service: e.Service, set: e.Set}
		if f.ODP != nil && f.ODP.Terminate != "" {
			q.by = f.ODP.Terminate
			need.Requests = append(need.Requests, service.Get(q.by, delta.Set{Feed: f}.FunctionURL(q.by),
				"application/json"))
		}
		r.queues = append(r.queues, q)
	}
	for i, s := range r.services {
		collection := feed.CollectionOf(models[i])
		subscribed := func(e entry.Entry) bool { return e.Service == s && e.Subscribing.On }
		if collection == "" || !slices.ContainsFunc(r.all, subscribed) {
			continue
		}
		r.lists = append(r.lists, s)
		need.Requests = append(need.Requests, notify.ListRequest(config.Query(r.V).On(s+"/"+collection)))
	}
	if len(need.Requests) == 0 {
		return nil, nil
	}
	r.phase = retireLook
	need.State = r.pack()
	return need, nil
}

// look takes what became of the queues, and looks which subscriptions are the connector's.
func (r *Retiring) look(answers []wit.Response) (*wit.Need, error) {
	if n := len(answers) - len(r.lists); n > 0 {
		if err := r.queuesEnded(answers[:n]); err != nil {
			return nil, err
		}
		answers = answers[n:]
	}
	need := &wit.Need{}
	var more []string
	at := entry.Origin(r.V)
	for i, s := range r.lists {
		what := "subscriptions of " + s
		list, next, err := notify.ReadSubscriptions(what, &answers[i])
		if err != nil {
			return nil, err
		}
		for _, one := range list {
			if !r.Mine(one.Address) {
				continue
			}
			target, err := at.Resolve(one.Target, "", answers[i].Target)
			if err != nil {
				return nil, &wit.Fault{Kind: wit.FaultData, Message: what + ": " + err.Error()}
			}
			r.ends = append(r.ends, ending{s, one.Collection, target, one.ChangeType})
		}
		if next != "" {
			target, err := at.Resolve(next, "", answers[i].Target)
			if err != nil {
				return nil, &wit.Fault{Kind: wit.FaultData, Message: what + ": " + err.Error()}
			}
			more = append(more, s)
			need.Requests = append(need.Requests, notify.ListRequest(config.Query(r.V).On(target)))
		}
	}
	if r.lists = more; len(more) == 0 {
		r.phase = retireEnd
		for _, e := range r.ends {
			need.Requests = append(need.Requests, notify.EndRequest(e.by, e.by, e.service, config.Query(r.V)))
		}
	}
	if len(need.Requests) == 0 {
		return nil, nil
	}
	need.State = r.pack()
	return need, nil
}

// Mine reports whether notifications to an address come to the connector.
func (r *Retiring) Mine(address string) bool {
	to := entry.Delivery(r.V)
	return to != "" && slices.ContainsFunc(r.Addresses, func(path string) bool {
		own := to + path
		if strings.HasSuffix(path, "/") {
			return len(address) > len(own) && notify.SameAddress(address[:len(own)], own)
		}
		return notify.SameAddress(address, own)
	})
}

func (r *Retiring) queuesEnded(answers []wit.Response) error {
	for i := range r.queues {
		q := &r.queues[i]
		if q.by == "" || len(answers) == 0 {
			continue
		}
		a := &answers[0]
		answers = answers[1:]
		if a.Status < 200 || a.Status > 299 {
			return fault.Of(q.by+" of "+q.service, a, a.Body)
		}
		if done, ok := delta.Truth(a.Body, "ResultFlag"); !ok || !done {
			return fault.NotData(q.by+" of "+q.service, "ResultFlag true", a.Body)
		}
	}
	return nil
}

// ended checks the answers to deletions. What is gone already is as good.
func (r *Retiring) ended(ends []ending, answers []wit.Response) error {
	if len(answers) != len(ends) {
		return &wit.Fault{Kind: wit.FaultInternal, Message: "expected an answer for each subscription"}
	}
	for i := range answers {
		if a := &answers[i]; (a.Status < 200 || a.Status > 299) && !feed.Gone(a.Status, a.Body) {
			return fault.Of("subscription "+a.Tag, a, a.Body)
		}
	}
	return nil
}

func (r *Retiring) terminated() (n int) {
	for _, q := range r.queues {
		if q.by != "" {
			n++
		}
	}
	return n
}

// report says what became of each queue and each subscription.
func (r *Retiring) report() jsontext.Value {
	list := jsontext.List()
	add := func(e ending, what, outcome string) {
		list.Items = append(list.Items, jsontext.Of(inspect.Member("service", jsontext.Text(e.service)),
			inspect.Member("entitySet", jsontext.Text(e.set)), inspect.Member(what, jsontext.Text(outcome))))
	}
	for _, q := range r.queues {
		outcome := "the service keeps no queue; its delta link is forgotten with the connector's offset"
		if q.by != "" {
			outcome = "ended"
		}
		add(q, "queue", outcome)
	}
	for _, s := range r.ends {
		add(s, "subscription", "ended: "+s.what)
	}
	return list
}

func (r *Retiring) pack() []byte {
	b := pack.Texts(pack.Number(nil, r.phase), r.lists)
	for _, list := range [][]ending{r.queues, r.ends} {
		b = pack.Number(b, len(list))
		for _, e := range list {
			b = pack.Text(pack.Text(pack.Text(pack.Text(b, e.service), e.set), e.by), e.what)
		}
	}
	return b
}

func (r *Retiring) unpack(state []byte) bool {
	if len(state) == 0 {
		return true
	}
	in := pack.Open(state)
	r.phase, r.lists = in.Number(), in.Texts()
	for _, list := range []*[]ending{&r.queues, &r.ends} {
		for n := in.Count(); n > 0 && !in.Bad; n-- {
			*list = append(*list, ending{in.Text(), in.Text(), in.Text(), in.Text()})
		}
	}
	return in.Done() && r.phase > retireDocuments
}
