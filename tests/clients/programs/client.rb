require "net/http"

uri = URI(ARGV[0])
http = Net::HTTP.new(uri.host, uri.port)
http.use_ssl = true
http.start { |open| puts open.get(uri.path, "Authorization" => "Bearer " + ENV["API_KEY"]).body }
