package tunnel

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxFetch is the last version of Fetch whose responses contain no addresses. Later versions have the address of a
// moved leader at their end (KIP-951): the tunnel would have to buffer whole responses. Without it clients request
// metadata.
const maxFetch = 15

// More API keys of requests whose responses contain addresses.
const (
	keyMetadata         = 3
	keyFindCoordinator  = 10
	keyDescribeCluster  = 60
	keyShareFetch       = 78
	keyShareAcknowledge = 79
)

// carriesAddress reports whether responses must be rewritten: they contain addresses of brokers, or API versions.
// Responses between brokers, of DescribeQuorum and with endpoints of streams groups are not rewritten, since clients do
// not connect to their addresses.
func carriesAddress(key, version int16) bool {
	switch key {
	case keyProduce:
		return version >= 9 // KIP-951
	case keyFetch:
		return version > maxFetch
	case keyMetadata, keyFindCoordinator, keyApiVersions, keyDescribeCluster, keyShareFetch, keyShareAcknowledge:
		return true
	}
	return false
}

// rewrite returns a response frame with local addresses, the same frame if it has no addresses.
func (r *relay) rewrite(request pendingRequest, frame []byte) ([]byte, error) {
	response := kmsg.ResponseForKey(request.key)
	response.SetVersion(request.version)
	head := cursor{unread: frame[8:]} // after the size and the correlation id
	// ApiVersions responses never have a flexible header, so that any client can read them.
	if response.IsFlexible() && request.key != keyApiVersions {
		head.skipTags()
	}
	body := head.unread
	versions, ok := response.(*kmsg.ApiVersionsResponse)
	if ok && len(body) >= 2 && body[0] == 0 && body[1] == errUnsupportedVersion {
		versions.SetVersion(0) // the version of answers to an unknown version (KIP-511)
	}
	if err := response.ReadFrom(body); err != nil {
		return nil, err
	}
	if hasChanged, err := r.rewriteAddresses(response); err != nil || !hasChanged {
		return frame, err
	}
	const addedBytes = 64 // a guess: local hosts may be longer
	rewritten := append(make([]byte, 0, len(frame)+addedBytes), frame[:len(frame)-len(body)]...)
	return setFrameLength(response.AppendTo(rewritten)), nil
}

// rewriteAddresses replaces the brokers' addresses, for which it opens listeners, and removes API versions that the
// tunnel cannot decode.
func (r *relay) rewriteAddresses(response kmsg.Response) (hasChanged bool, err error) {
	var fields []addressField
	add := func(id int32, host *string, port *int32) { fields = append(fields, addressField{id, host, port}) }
	switch response := response.(type) {
	case *kmsg.ApiVersionsResponse:
		// APIs and versions that the tunnel cannot decode are removed: unknown ones, SASL without Kafka
		// framing (0.10), and versions of Fetch beyond maxFetch.
		remaining := response.ApiKeys[:0]
		for _, k := range response.ApiKeys {
			switch k.ApiKey {
			case keySASLHandshake:
				k.MinVersion = max(k.MinVersion, 1)
			case keyFetch:
				if k.MinVersion <= maxFetch {
					k.MaxVersion = min(k.MaxVersion, maxFetch)
				}
			}
			k.MaxVersion = min(k.MaxVersion, newestVersion(k.ApiKey))
			if k.MinVersion <= k.MaxVersion {
				remaining = append(remaining, k)
			}
		}
		response.ApiKeys = remaining
		return true, nil
	case *kmsg.MetadataResponse:
		for i := range response.Brokers {
			b := &response.Brokers[i]
			add(b.NodeID, &b.Host, &b.Port)
		}
	case *kmsg.FindCoordinatorResponse:
		add(response.NodeID, &response.Host, &response.Port)
		for i := range response.Coordinators {
			c := &response.Coordinators[i]
			add(c.NodeID, &c.Host, &c.Port)
		}
	case *kmsg.DescribeClusterResponse:
		if response.EndpointType == endpointController {
			return false, nil
		}
		for i := range response.Brokers {
			b := &response.Brokers[i]
			add(b.NodeID, &b.Host, &b.Port)
		}
	case *kmsg.ProduceResponse:
		for i := range response.Brokers {
			b := &response.Brokers[i]
			add(b.NodeID, &b.Host, &b.Port)
		}
	case *kmsg.FetchResponse:
		for i := range response.Brokers {
			b := &response.Brokers[i]
			add(b.NodeID, &b.Host, &b.Port)
		}
	case *kmsg.ShareFetchResponse:
		for i := range response.NodeEndpoints {
			e := &response.NodeEndpoints[i]
			add(e.NodeID, &e.Host, &e.Port)
		}
	case *kmsg.ShareAcknowledgeResponse:
		for i := range response.NodeEndpoints {
			e := &response.NodeEndpoints[i]
			add(e.NodeID, &e.Host, &e.Port)
		}
	default:
		return false, errors.New("this type of response may contain addresses and is not supported")
	}
	var nodes []node // without unknown brokers: their id is -1 or the host empty, which remain
	for _, f := range fields {
		if f.id >= 0 && *f.host != "" {
			nodes = append(nodes, node{id: f.id, host: *f.host, port: *f.port})
		}
	}
	if err := r.tunnel.brokers.update(nodes); err != nil {
		return false, err
	}
	host := localHost(r.client)
	for _, f := range fields {
		if port := r.tunnel.brokers.port(f.id); port != 0 && *f.host != "" {
			*f.host = host
			*f.port = port
			hasChanged = true
		}
	}
	return hasChanged, nil
}

// endpointController is the type of endpoint of controllers, to which clients do not connect through the tunnel.
const endpointController = 2

// addressField points to a broker's address in a response.
type addressField struct {
	id   int32
	host *string
	port *int32
}
