package metrics

// ofImages are the further families about an image's tags. Those that add more than a tenth to
// the series of a registry are opt-in.
var ofImages = []Family{
	{
		Name: "aws_ecr_image_last_pulled_timestamp_seconds", Help: "The unix timestamp of the last recorded pull of this image", Type: gauge,
		Unit: "whole Unix seconds; ECR records a pull about once a day", OptIn: true,
		per: perTag, labels: tagLabels,
		value: func(s *subject) (float64, bool) { return seconds(s.image.PulledAt.Time()) },
	},
	{
		Name: "aws_ecr_image_info", Help: "What kind of artifact this image is", Type: gauge,
		Unit: "always 1", OptIn: true,
		per: perTag,
		labels: with(tagLabels,
			label{"artifact_media_type", func(s *subject) string { return s.image.ArtifactType.String() }},
			label{"manifest_media_type", func(s *subject) string { return s.image.MediaType.String() }},
			label{"status", func(s *subject) string { return s.image.Status.String() }},
		),
		value: always,
	},
	{
		Name: "aws_ecr_image_in_use_count", Help: "Where Amazon Inspector saw this image run: ECS tasks and EKS pods", Type: gauge,
		Unit: "tasks and pods; only images that Inspector saw run, with enhanced scanning",
		per:  perTag, labels: tagLabels,
		value: func(s *subject) (float64, bool) {
			if s.image.Scan == nil {
				return 0, false
			}
			return float64(s.image.Scan.InUseCount), s.image.Scan.InUseCount > 0 || !s.image.Scan.LastInUseAt.IsZero()
		},
	},
	{
		Name: "aws_ecr_image_last_in_use_timestamp_seconds", Help: "The unix timestamp at which Amazon Inspector last saw this image run", Type: gauge,
		Unit: "whole Unix seconds; only images that Inspector saw run, with enhanced scanning",
		per:  perTag, labels: tagLabels,
		value: func(s *subject) (float64, bool) {
			if s.image.Scan == nil {
				return 0, false
			}
			return seconds(s.image.Scan.LastInUseAt.Time())
		},
	},
}
