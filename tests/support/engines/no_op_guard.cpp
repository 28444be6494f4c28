// Lets torch enter and leave a CUDA device where it was built without CUDA, which FakeTensorMode needs for
// assignments and copies in place. Nothing is computed on that device.
#include <c10/core/impl/DeviceGuardImplInterface.h>

C10_REGISTER_GUARD_IMPL(CUDA, c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::CUDA>);
