package tunnel

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxFetch is the last version of Fetch whose responses contain no addresses. Later ones have a moved leader's address
// at their end (KIP-951), so that whole responses would have to be buffered; without it clients request metadata.
const maxFetch = 15

// carriesAddress reports whether responses must be rewritten: they contain addresses of brokers, or API versions.
// Requests between brokers, DescribeQuorum and endpoints of streams groups are not among them, since clients do not
// connect there.
func carriesAddress(key, version int16) bool {
	switch key {
	case keyProduce:
		return version >= 9 // KIP-951
	case keyFetch:
		return version > maxFetch
	case 3 /* Metadata */, 10 /* FindCoordinator */, keyApiVersions:
		return true
	case 60 /* DescribeCluster */, 78 /* ShareFetch */, 79 /* ShareAcknowledge */ :
		return true
	}
	return false
}

// mayPassUnchanged reports whether responses have addresses only as hints about moved leaders. A response that is too
// large for rewriting passes, and the client requests metadata.
func mayPassUnchanged(key int16) bool { return key == keyFetch || key == 78 }

// rewrite replaces addresses in a response, a frame with its size. Without addresses it returns the frame itself.
func (r *relay) rewrite(a pendingAnswer, frame []byte) ([]byte, error) {
	answer := kmsg.ResponseForKey(a.key)
	answer.SetVersion(a.version)
	head := cursor{rest: frame[8:]}
	// ApiVersions responses never have a flexible header, so that any client can read them.
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
		return false, errors.New("this type of response may contain addresses and is not supported")
	}
	return r.replaceAddresses(found)
}

const endpointController = 2

// addressField points to a broker's address in a response.
type addressField struct {
	id   int32
	host *string
	port *int32
}

// replaceAddresses opens listeners for new brokers and writes their addresses. Without a broker, as for an unknown
// coordinator, the id is -1 or the host empty.
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
			*p.host = host
			*p.port = port
			changed = true
		}
	}
	return changed, nil
}

// limitVersions removes from ApiVersions what the tunnel cannot decode: unknown APIs and versions, SASL without Kafka
// framing (0.10), and versions of Fetch beyond maxFetch.
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
