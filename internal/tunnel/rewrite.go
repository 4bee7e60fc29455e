package tunnel

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxFetch is the last version of Fetch whose answers name no brokers. The next one adds, for a leader that has
// moved, where the new one is (KIP-951), at the very end: every answer would have to be held whole, 50 MB of records at
// a time, before a byte of it goes on. Clients that are offered no more ask for metadata then, as they did before Kafka
// 3.7.
const maxFetch = 15

// carriesAddress tells whether answers hold addresses of brokers, or are the one about versions. Those to produce
// requests have room for them from their first flexible version on (KIP-951). Not among them: what only
// brokers and controllers ask each other, DescribeQuorum, which names the listeners of controllers (no client connects
// there), and the endpoints of applications in streams groups.
func carriesAddress(key, version int16) bool {
	switch key {
	case keyProduce:
		return version >= 9
	case keyFetch:
		return version > maxFetch
	case 3 /* Metadata */, 10 /* FindCoordinator */, keyApiVersions:
		return true
	case 60 /* DescribeCluster */, 78 /* ShareFetch */, 79 /* ShareAcknowledge */ :
		return true
	}
	return false
}

// mayPassUnchanged answers name brokers only as a hint about a leader that has moved; one too large to be held passes as it is,
// and the client, which does not reach the hint, asks for metadata.
func mayPassUnchanged(key int16) bool { return key == keyFetch || key == 78 }

// rewrite puts the tunnel's addresses into an answer. An answer without any is returned as it came. Frames are whole,
// with size.
func (r *relay) rewrite(a pendingAnswer, frame []byte) ([]byte, error) {
	answer := kmsg.ResponseForKey(a.key)
	answer.SetVersion(a.version)
	head := cursor{rest: frame[8:]}
	// The answer about versions has the plain header in all versions, so that any client can read it.
	if answer.IsFlexible() && a.key != keyApiVersions {
		head.skipTags()
	}
	body := head.rest
	if versions, ok := answer.(*kmsg.ApiVersionsResponse); ok && len(body) >= 2 && body[0] == 0 &&
		body[1] == errUnsupportedVersion {
		versions.SetVersion(0)
	}
	if err := answer.ReadFrom(body); err != nil {
		return nil, err
	}
	changed, err := r.rewriteAddresses(answer)
	if err != nil || !changed {
		return frame, err
	}
	prefix := len(frame) - len(body)
	return setFrameLength(answer.AppendTo(append(make([]byte, 0, len(frame)+64), frame[:prefix]...))), nil
}

// rewriteAddresses changes what an answer says about brokers and versions.
func (r *relay) rewriteAddresses(answer kmsg.Response) (changed bool, err error) {
	var found []addressField
	add := func(id int32, host *string, port *int32) { found = append(found, addressField{id, host, port}) }
	switch answer := answer.(type) {
	case *kmsg.ApiVersionsResponse:
		limitVersions(answer)
		return true, nil
	case *kmsg.MetadataResponse:
		for i := range answer.Brokers {
			b := &answer.Brokers[i]
			add(b.NodeID, &b.Host, &b.Port)
		}
	case *kmsg.FindCoordinatorResponse:
		add(answer.NodeID, &answer.Host, &answer.Port)
		for i := range answer.Coordinators {
			c := &answer.Coordinators[i]
			add(c.NodeID, &c.Host, &c.Port)
		}
	case *kmsg.DescribeClusterResponse:
		if answer.EndpointType == endpointController {
			return false, nil
		}
		for i := range answer.Brokers {
			b := &answer.Brokers[i]
			add(b.NodeID, &b.Host, &b.Port)
		}
	case *kmsg.ProduceResponse:
		for i := range answer.Brokers {
			b := &answer.Brokers[i]
			add(b.NodeID, &b.Host, &b.Port)
		}
	case *kmsg.FetchResponse:
		for i := range answer.Brokers {
			b := &answer.Brokers[i]
			add(b.NodeID, &b.Host, &b.Port)
		}
	case *kmsg.ShareFetchResponse:
		for i := range answer.NodeEndpoints {
			e := &answer.NodeEndpoints[i]
			add(e.NodeID, &e.Host, &e.Port)
		}
	case *kmsg.ShareAcknowledgeResponse:
		for i := range answer.NodeEndpoints {
			e := &answer.NodeEndpoints[i]
			add(e.NodeID, &e.Host, &e.Port)
		}
	default:
		return false, errors.New("it may carry addresses, and nobody knows where")
	}
	return r.replaceAddresses(found)
}

const endpointController = 2

// addressField is where an answer holds a broker's address.
type addressField struct {
	id   int32
	host *string
	port *int32
}

// replaceAddresses puts the tunnel's listeners in the places of brokers. An answer that has no broker to name (a coordinator
// that is not known yet) has id -1 or no host.
func (r *relay) replaceAddresses(found []addressField) (changed bool, err error) {
	var nodes []node
	for _, p := range found {
		if p.id >= 0 && *p.host != "" {
			nodes = append(nodes, node{p.id, *p.host, *p.port})
		}
	}
	if err := r.tunnel.brokers.update(nodes); err != nil {
		return false, err
	}
	host := advertised(r.client)
	for _, p := range found {
		if port := r.tunnel.brokers.port(p.id); port != 0 && *p.host != "" {
			*p.host, *p.port = host, port
			changed = true
		}
	}
	return changed, nil
}

// limitVersions takes out of a broker's offer what the tunnel could not look into: APIs that nobody here knows, versions newer
// than the known ones, the logon of Kafka 0.10, whose messages are not framed as requests, and the versions of Fetch
// that would be held up here.
func limitVersions(answer *kmsg.ApiVersionsResponse) {
	offered := answer.ApiKeys[:0]
	for _, k := range answer.ApiKeys {
		switch k.ApiKey {
		case keySASLHandshake:
			k.MinVersion = max(k.MinVersion, 1)
		case keyFetch:
			if k.MinVersion <= maxFetch {
				k.MaxVersion = min(k.MaxVersion, maxFetch)
			}
		}
		if k.MaxVersion = min(k.MaxVersion, newestVersion(k.ApiKey)); k.MinVersion <= k.MaxVersion {
			offered = append(offered, k)
		}
	}
	answer.ApiKeys = offered
}
