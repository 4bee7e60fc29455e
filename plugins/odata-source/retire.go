package main

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/jsontext"
	"github.com/culvert-project/culvert/plugins/odata/pack"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/wit"
)

// commandRetire ends what a connector has opened at its services (P15): nothing else does, since a queue that is ended by mistake costs a
// first extraction.
const commandRetire = "retire"

// queue is a set in delta mode, and the function that ends its queue, "" for a service that keeps none.
type queue struct{ service, set, terminate string }

// retire asks for the services' metadata, then for the functions that end their queues, and says what became of them.
func retire(given []wit.Setting, state []byte, answers []wit.Response) (wit.Reply, error) {
	v := settings.Values(given)
	all := slices.DeleteFunc(entries(v), func(e entry) bool { return !e.tracking.on })
	if len(all) == 0 {
		return wit.Reply{}, fault.Config(nameTrackChanges, "no entity set of the connector is in delta mode: there is nothing to end at a service")
	}
	if len(answers) == 0 {
		need := &wit.Need{}
		for _, s := range servicesOf(all) {
			need.Requests = append(need.Requests, service.MetadataRequest(s, config.Query(v)))
		}
		return wit.Reply{Ask: need}, nil
	}
	if len(state) == 0 {
		return endQueues(all, answers)
	}
	return ended(readQueues(state), answers)
}

// endQueues asks for the functions that end the queues of sets.
func endQueues(all []entry, answers []wit.Response) (wit.Reply, error) {
	services := servicesOf(all)
	if len(answers) != len(services) {
		return wit.Reply{}, &wit.Fault{Kind: wit.FaultInternal, Message: "expected the metadata of all services"}
	}
	need := &wit.Need{}
	var queues []queue
	for _, e := range all {
		m, err := service.ReadMetadata(e.service, &answers[slices.Index(services, e.service)])
		if err != nil {
			return wit.Reply{}, err
		}
		f, err := newFeed(e, m)
		if err != nil {
			return wit.Reply{}, err
		}
		q := queue{service: e.service, set: e.set}
		if f.odp != nil && f.odp.terminate != "" {
			q.terminate = f.odp.terminate
			need.Requests = append(need.Requests, wit.Request{Tag: q.terminate, Method: "GET", Target: f.functionURL(q.terminate), Repeatable: true,
				Headers: []wit.Header{{Name: "Accept", Value: "application/json"}, {Name: "MaxDataServiceVersion", Value: "2.0"}}})
		}
		queues = append(queues, q)
	}
	if len(need.Requests) == 0 {
		return ended(queues, nil)
	}
	need.State = pack.Number(nil, len(queues))
	for _, q := range queues {
		need.State = pack.Text(pack.Text(pack.Text(need.State, q.service), q.set), q.terminate)
	}
	return wit.Reply{Ask: need}, nil
}

func readQueues(state []byte) (queues []queue) {
	r := pack.Open(state)
	for n := r.Count(); n > 0 && !r.Bad; n-- {
		queues = append(queues, queue{r.Text(), r.Text(), r.Text()})
	}
	return queues
}

// ended says what became of each queue.
func ended(queues []queue, answers []wit.Response) (wit.Reply, error) {
	list := jsontext.List()
	for _, q := range queues {
		outcome := "the service keeps no queue; its delta link is forgotten with the connector's offset"
		if q.terminate != "" {
			if len(answers) == 0 {
				return wit.Reply{}, &wit.Fault{Kind: wit.FaultInternal, Message: "expected an answer for each queue"}
			}
			a := &answers[0]
			answers = answers[1:]
			if a.Status < 200 || a.Status > 299 {
				return wit.Reply{}, fault.Of(q.terminate+" of "+q.service, a, a.Body)
			}
			if done, ok := truth(a.Body, "ResultFlag"); !ok || !done {
				return wit.Reply{}, fault.NotData(q.terminate+" of "+q.service, "ResultFlag true", a.Body)
			}
			outcome = "ended"
		}
		list.Items = append(list.Items, jsontext.Of(member("service", jsontext.Text(q.service)), member("entitySet", jsontext.Text(q.set)),
			member("queue", jsontext.Text(outcome))))
	}
	return wit.Reply{Document: wit.Ptr(string(jsontext.Append(nil, list)))}, nil
}
