use strict;
use LWP::UserAgent;

my $agent = LWP::UserAgent->new(timeout => 30);
$agent->env_proxy;
my $answer = $agent->get($ARGV[0], Authorization => "Bearer $ENV{API_KEY}");
die $answer->status_line . "\n" unless $answer->is_success;
print $answer->content;
