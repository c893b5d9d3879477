package remotewritetest

import (
	"bytes"

	"github.com/prometheus/prometheus/prompb"
)

// decodeV1 reads a prometheus.WriteRequest.
func decodeV1(raw []byte) (body prompb.WriteRequest, err error) {
	if err := body.Unmarshal(raw); err != nil {
		return prompb.WriteRequest{}, broken("body is not a %s: %v", nameV1, err)
	}
	// Unmarshal tolerates unknown fields, another order and the like.
	again, err := knownV1(body).Marshal()
	if err != nil || !bytes.Equal(again, raw) {
		return body, broken("body is not what prompb would marshal: it holds something unknown, or in another order")
	}
	return body, nil
}

// knownV1 copies what a sender of gauges needs: labels, samples, metadata.
func knownV1(body prompb.WriteRequest) *prompb.WriteRequest {
	out := new(prompb.WriteRequest)
	for _, ts := range body.Timeseries {
		var k prompb.TimeSeries
		for _, l := range ts.Labels {
			k.Labels = append(k.Labels, prompb.Label{Name: l.Name, Value: l.Value})
		}
		for _, s := range ts.Samples {
			k.Samples = append(k.Samples, prompb.Sample{Value: s.Value, Timestamp: s.Timestamp})
		}
		out.Timeseries = append(out.Timeseries, k)
	}
	for _, m := range body.Metadata {
		out.Metadata = append(out.Metadata, prompb.MetricMetadata{
			Type: m.Type, MetricFamilyName: m.MetricFamilyName, Help: m.Help, Unit: m.Unit,
		})
	}
	return out
}
